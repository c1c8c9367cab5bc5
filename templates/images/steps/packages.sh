#!/bin/sh
# packages.sh [--upgrade] NAME...: Debian packages, leaving neither sources nor caches nor logs in the layer.
# packages.sh --run COMMAND...: the same for a command that calls apt itself.
# With the secrets of the build: apt-sources, apt-conf, apt-auth (the host's own mirror, its proxies and logins), ca (the
# host's CA bundle).
set -eu
umask 022
cache=/run/build/apt
mkdir -p $cache/lists/partial $cache/archives/partial
export DEBIAN_FRONTEND=noninteractive APT_CONFIG=/run/build/apt.conf
{
  echo "Dir::State::lists \"$cache/lists\"; Dir::Cache::archives \"$cache/archives\";"
  echo 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache ""; Acquire::Languages "none"; Acquire::Retries "3";'
  echo 'APT::Sandbox::User "root"; APT::Install-Recommends "false"; APT::Keep-Downloaded-Packages "true";'
  # A layer is kept whole or not at all: dpkg need not wait for the disk after every file.
  echo 'DPkg::Options { "--force-unsafe-io"; };'
  [ ! -e /run/secrets/ca ] || echo 'Acquire::https::CAInfo "/run/secrets/ca";'
  # apt tells the two forms of a sources file apart by its name.
  [ ! -e /run/secrets/apt-sources ] ||
    echo 'Dir::Etc::sourcelist "/run/secrets/apt-sources"; Dir::Etc::sourceparts "-";'
  [ ! -e /run/secrets/apt-auth ] || echo 'Dir::Etc::netrc "/run/secrets/apt-auth";'
  [ ! -e /run/secrets/apt-conf ] || cat /run/secrets/apt-conf
} >$APT_CONFIG

fresh() { [ -n "$(find $cache/updated -mmin -60 2>/dev/null)" ]; }
update() { rm -f $cache/updated && apt-get -q update && touch $cache/updated; }
install() {
  [ -z "$upgrade" ] || apt-get -q -y upgrade
  apt-get -q -y install "$@"
}

upgrade=
[ "$1" != --upgrade ] || { upgrade=yes; shift; }
if [ "$1" = --run ]; then
  shift
  "$@"
elif fresh; then
  install "$@" || { update && install "$@"; }
else
  update && install "$@"
fi
rm -rf $APT_CONFIG /var/log/apt /var/log/dpkg.log /var/log/alternatives.log /var/cache/ldconfig/aux-cache \
  /var/cache/debconf/*-old /var/lib/dpkg/*-old
