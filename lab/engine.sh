#!/usr/bin/env bash
# engine.sh start | stop | status | env | base SUITE
# The tests' private Docker engine: own containerd, data, socket, bridge and address pool, beside any engine the machine has.
set -euo pipefail # so no `| grep -q`: what is still writing then ends by a signal, and the pipe has failed

root=${OPENCLAW_LAB_DATA:-/var/lib/openclaw-lab}
run=${OPENCLAW_LAB_RUN:-/run/openclaw-lab}
socket=$run/docker.sock
bridge=clawlab0
bridge_cidr=10.90.0.1/24
pool=base=10.90.128.0/17,size=24
export DOCKER_HOST=unix://$socket
export DEBIAN_FRONTEND=noninteractive
templates=$(dirname "$(readlink -f "$0")")/../templates
. "$templates/packages/manager.sh"

say() { printf 'engine: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# A new machine has no package lists; without them apt knows neither packages nor its own mirrors.
apt_lists() { packages_listed || apt_run apt-get -qq update >&2; }

# The mirror this machine uses for its own Debian release; no host name is written down in this repository.
mirror() { debian_reached "$(. /etc/os-release && echo "$VERSION_CODENAME")" Debian '' | awk 'NR == 1 { print $2 }'; }

install_missing() {
  local wanted=()
  apt_lists
  have dockerd || wanted+=(docker.io)
  have docker || ! apt-cache show docker-cli >/dev/null 2>&1 || wanted+=(docker-cli) # Debian 13 splits it off
  have iptables || wanted+=(iptables)
  have ip || wanted+=(iproute2)
  have mmdebstrap || wanted+=(mmdebstrap)
  have ssh-keygen || wanted+=(openssh-client)
  have apparmor_parser || wanted+=(apparmor) # reads the AppArmor profiles in the tests
  if [ ${#wanted[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] && have apt-get || die "needs root and apt-get to install: ${wanted[*]}"
    say "installing ${wanted[*]}"
    no_autostart apt_install "${wanted[@]}"
  fi
  plugin compose docker-compose
  plugin buildx docker-buildx
}

apt_install() {
  local install=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install -y --no-install-recommends "$@")
  apt_await >&2
  apt_run "${install[@]}" >>"$run/apt.log" 2>&1 && return
  apt_run apt-get -qq update >&2 # the lists may be older than the mirror's packages
  apt_run "${install[@]}" >>"$run/apt.log" 2>&1 || { tail -5 "$run/apt.log" >&2; return 1; }
}

# Debian starts a service on installation; the engine installed here must not come up on the machine's own socket.
no_autostart() {
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; made=1; fi
  "$@" || { [ -z "$made" ] || rm -f $policy; return 1; }
  [ -z "$made" ] || rm -f $policy
}

# Debian 12 has neither Compose v2 nor buildx. Debian 13's packages depend on libc6 alone; they are fetched with an
# apt state of their own, so that the machine's sources never learn of trixie and nothing else can come from it.
plugin() {
  docker "$1" version >/dev/null 2>&1 && return
  say "installing $2"
  if apt-cache policy "$2" | grep 'Candidate: 2\|Candidate: 0\.[1-9]' >/dev/null; then apt_install "$2"; return; fi
  local apt=$root/apt-trixie keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mkdir -p "$apt"/{lists/partial,cache/archives/partial,debs}
  echo "deb [signed-by=$keyring] $(mirror) trixie main" >"$apt/sources.list"
  local options=(-o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root)
  apt-get -qq "${options[@]}" update >&2
  (cd "$apt/debs" && rm -f "$2"_*.deb && apt-get -qq "${options[@]}" download "$2/trixie" >&2)
  apt_install "$apt/debs/$2"_*.deb
  docker "$1" version >/dev/null 2>&1 || die "docker $1 does not work after installing $2"
}

# What cgroupfs-mount does, for machines without systemd where nothing mounted the controllers.
mount_cgroups() {
  grep -Eq ' /sys/fs/cgroup(/[a-z,]+)? cgroup2? ' /proc/mounts && return
  grep -q ' /sys/fs/cgroup ' /proc/mounts || mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
  local controller
  awk '!/^#/ && $4 == 1 {print $1}' /proc/cgroups | while read -r controller; do
    mkdir -p "/sys/fs/cgroup/$controller"
    mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" || rmdir "/sys/fs/cgroup/$controller"
  done
}

make_bridge() {
  ip link show $bridge >/dev/null 2>&1 || ip link add $bridge type bridge
  ip addr replace $bridge_cidr dev $bridge
  ip link set $bridge up
}

# alive NAME: the pid file names a process that is still the one we started (pids are reused).
alive() {
  local pid
  pid=$(cat "$run/$1.pid" 2>/dev/null) && [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -- "$root/$1" >/dev/null
} 2>/dev/null

# await SECONDS COMMAND...: until it succeeds.
await() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    read -rt 0.1 <> <(:) || true
  done
}

# launch NAME COMMAND...: detached from the calling shell's session, terminal and job control.
launch() {
  local name=$1; shift
  setsid -f sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$run/$name.pid" "$@" </dev/null >>"$run/$name.log" 2>&1
}

start() {
  [ "$(id -u)" = 0 ] || die "needs root"
  mkdir -p "$root" "$run"
  exec 9>"$run/lock"; flock 9
  install_missing 9>&-
  if alive dockerd && docker version >/dev/null 2>&1; then say "already running on $DOCKER_HOST"; return; fi
  mount_cgroups
  make_bridge
  alive containerd || launch containerd containerd --address "$run/containerd.sock" \
    --root "$root/containerd" --state "$run/containerd" --log-level warn 9>&-
  await 30 test -S "$run/containerd.sock" || die "containerd is not ready; see $run/containerd.log"
  echo '{}' >"$run/daemon.json" # not the machine's /etc/docker/daemon.json
  alive dockerd || launch dockerd dockerd --host "$DOCKER_HOST" --containerd "$run/containerd.sock" \
    --data-root "$root/dockerd" --exec-root "$run/exec" --pidfile "$run/dockerd-own.pid" \
    --config-file "$run/daemon.json" --bridge $bridge --default-address-pool "$pool" \
    --log-level warn --log-opt max-size=10m --log-opt max-file=2 9>&-
  await 60 docker version || { tail -5 "$run/dockerd.log" >&2; die "dockerd is not ready; see $run/dockerd.log"; }
  say "ready on $DOCKER_HOST ($(docker info -f '{{.ServerVersion}} {{.Driver}} cgroup v{{.CgroupVersion}}'))"
}

stop() {
  local name pid
  for name in dockerd containerd; do
    alive "$name" || continue
    pid=$(cat "$run/$name.pid")
    kill "$pid"
    await 90 test ! -e "/proc/$pid" || die "$name ($pid) does not stop"
  done
  ip link del $bridge 2>/dev/null || true
  say stopped
}

# base SUITE: a minimal root file system as image lab-base:SUITE.
base() {
  docker image inspect "lab-base:$1" >/dev/null 2>&1 && return
  local tar=$root/base/$1.tar
  mkdir -p "$root/base"
  if [ ! -s "$tar" ]; then
    say "mmdebstrap $1"
    # Debian 13's would make all of this machine's mounts private.
    unshare --mount mmdebstrap --quiet --variant=minbase --include=ca-certificates "$1" "$root/base/.$1.$$.tar" "$(mirror)" >&2
    mv "$root/base/.$1.$$.tar" "$tar"
  fi
  docker import -c 'CMD ["bash"]' "$tar" "lab-base:$1" >/dev/null
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  status) if alive dockerd && docker version >/dev/null 2>&1; then say "running on $DOCKER_HOST"; else say "not running"; exit 3; fi ;;
  env) echo "export DOCKER_HOST=$DOCKER_HOST" ;;
  base) base "${2:?suite}" ;;
  *) die "usage: engine.sh start | stop | status | env | base SUITE" ;;
esac
