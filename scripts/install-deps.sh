#!/bin/sh
# Installs what `make demo` and `make test` use beyond Go, make, gcc and git:
# a Docker engine, Redis, the reference Lua 5.1 and iproute2. Silent when all
# is there. As root on Debian or a relative of it, it installs by apt; otherwise
# it says what to install and exits 1.
#
# The packages would start their servers. The lab runs its own on private
# sockets and needs none of them, so they are kept from starting here.
set -eu

# A plain user's PATH, and root's after `su`, lack these.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# Each line: a program, and the Debian package that has it.
packages=$(while read -r program package; do
	command -v "$program" >/dev/null 2>&1 || echo "$package"
done <<-EOF | sort -u | tr '\n' ' '
	dockerd docker.io
	containerd docker.io
	runc docker.io
	docker docker.io
	redis-server redis-server
	redis-cli redis-tools
	lua5.1 lua5.1
	ip iproute2
EOF
)
packages=${packages% }
[ -n "$packages" ] || exit 0

# From Debian 13 on, the docker command has a package of its own.
case " $packages " in
*" docker.io "*)
	if command -v apt-cache >/dev/null 2>&1 && apt-cache show docker-cli >/dev/null 2>&1; then
		packages="$packages docker-cli"
	fi
	;;
esac

if ! command -v apt-get >/dev/null 2>&1; then
	echo "missing; please install what Debian calls: $packages" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "missing; please run as root: apt-get install $packages" >&2
	exit 1
fi

work=$(mktemp -d)
policy=/usr/sbin/policy-rc.d

restore() {
	trap - EXIT
	# Ours goes, and what was there comes back.
	[ ! -e "$work/ours" ] || rm -f "$policy"
	[ ! -e "$work/policy-rc.d" ] && [ ! -L "$work/policy-rc.d" ] || mv "$work/policy-rc.d" "$policy"
	rm -rf "$work"
}
trap restore EXIT
trap 'restore; exit 130' INT
trap 'restore; exit 143' TERM HUP

# Maintainer scripts ask policy-rc.d before they start or restart a service;
# 101 forbids it.
if [ -e "$policy" ] || [ -L "$policy" ]; then
	mv "$policy" "$work/policy-rc.d"
fi
: >"$work/ours"
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

echo "installing $packages" >&2
export DEBIAN_FRONTEND=noninteractive
apt() {
	apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >>"$work/log" 2>&1
}
# An update that fails need not matter: the lists may be good enough.
apt update || true
# Word splitting is wanted: it is a list.
# shellcheck disable=SC2086
if ! apt install -y --no-install-recommends $packages; then
	tail -n 30 "$work/log" >&2
	echo "apt-get install $packages: see above" >&2
	exit 1
fi
echo "installed; their system services have not been started" >&2
