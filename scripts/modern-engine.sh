#!/bin/sh
# modern-engine.sh DIRECTORY: builds a current Docker engine into it, for the tests that
# `make test-modern` runs: Debian's is older than what many run. Nothing is installed
# but, for runc, Debian's libseccomp-dev and pkg-config. It takes some ten minutes and
# 3 GB of disk; what is there already is kept.
set -eu
bin=$1
mkdir -p "$bin"
bin=$(cd "$bin" && pwd)

moby=v2.0.0-beta.24
containerd=v2.3.7
runc=v1.5.2
tags=netgo,osusergo,no_btrfs,no_devmapper,no_zfs,no_cri,exclude_graphdriver_btrfs

build() { # PROGRAM CGO TAGS PACKAGE@VERSION
	[ -x "$bin/$1" ] || {
		echo "building $1" >&2
		GOBIN=$bin CGO_ENABLED=$2 GOFLAGS= "${GO:-go}" install -tags "$3" -ldflags '-s -w' "$4"
	}
}

if [ ! -x "$bin/runc" ] && ! pkg-config --exists libseccomp 2>/dev/null; then
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		echo "missing; please install what Debian calls: libseccomp-dev pkg-config" >&2
		exit 1
	fi
	echo "installing libseccomp-dev pkg-config" >&2
	apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends libseccomp-dev pkg-config >/dev/null
fi

# Outside of the project, whose go.mod would have a say in it.
cd /
build containerd 0 $tags github.com/containerd/containerd/v2/cmd/containerd@$containerd
build containerd-shim-runc-v2 0 $tags github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@$containerd
build dockerd 0 $tags github.com/moby/moby/v2/cmd/dockerd@$moby
build docker-proxy 0 $tags github.com/moby/moby/v2/cmd/docker-proxy@$moby
build runc 1 seccomp github.com/opencontainers/runc@$runc
