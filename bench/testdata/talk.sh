#!/bin/sh
# The talk's own commands for one redeploy: build an image, save it, load it on
# the production engine, start a container of it, move the traffic to it.
#
#   talk.sh DIRECTORY IMAGE NAME HOST TAR
#
# BUILD_HOST is the engine that builds, PRODUCTION the socket of the other one,
# REDIS_SOCKET the socket of Redis.
set -eu
context=$1 image=$2 name=$3 host=$4 tar=$5

docker -H "$BUILD_HOST" build -q -t "$image" "$context"
docker -H "$BUILD_HOST" save "$image" >"$tar"
curl -sS --fail --unix-socket "$PRODUCTION" --data-binary "@$tar" -H 'Content-Type: application/x-tar' \
	http://production/images/load

docker -H "unix://$PRODUCTION" create --name "$name" --expose 8080 "$image" /app
docker -H "unix://$PRODUCTION" start "$name"
ip=$(docker -H "unix://$PRODUCTION" inspect -f '{{.NetworkSettings.IPAddress}}' "$name")

redis-cli -s "$REDIS_SOCKET" linsert "frontend:$host" AFTER app "http://$ip:8080"
redis-cli -s "$REDIS_SOCKET" ltrim "frontend:$host" 0 1
