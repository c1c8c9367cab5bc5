#!/bin/sh
# docker.sh DIRECTORY: Debian 13's docker client alone, as DIRECTORY/usr/local/bin/docker; nothing if the image has one.
# Debian 12's is too old for Docker Engine 29 and newer; Debian 13's needs no more than the C library of Debian 12.
# Runs by `packages.sh --run`, whose configuration of apt and cache it uses.
set -eu
mkdir -p "$1"
! command -v docker >/dev/null || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lists=/run/build/apt/trixie
mkdir -p "$work/sources" "$work/package" $lists/partial
set -- "$1" /run/secrets/apt-sources
[ -e "$2" ] || set -- "$1" /etc/apt/sources.list /etc/apt/sources.list.d/*
target=$1
shift
for file in "$@"; do
  name=${file##*/}
  case $name in *.sources) ;; *) name=${name%.list}.list ;; esac
  [ ! -f "$file" ] || sed 's/bookworm/trixie/g' "$file" >"$work/sources/$name"
done
cd "$work/package"
set -- -q -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources" -o Dir::State::lists=$lists
apt-get "$@" update
apt-get "$@" download docker-cli
dpkg-deb -x docker-cli_*.deb .
install -D usr/bin/docker "$target/usr/local/bin/docker"
