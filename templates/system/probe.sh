echo "time=$(date +%s)"
. /etc/os-release
printf 'id=%s\nrelease=%s\ncodename=%s\ntitle=%s\n' "$ID" "$VERSION_ID" "$VERSION_CODENAME" "$PRETTY_NAME"
echo "machine=$(uname -m)"
awk '/^MemTotal:/ { print "memory=" $2 }' /proc/meminfo
[ -d /run/systemd/system ] && echo systemd=
grep -q Y /sys/module/apparmor/parameters/enabled && echo apparmor=
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  grep -qw memory /sys/fs/cgroup/cgroup.controllers && echo memory-limits=
else
  awk '$1 == "memory" && $4 == 1 { print "memory-limits=" }' /proc/cgroups
fi

own=
ps="docker -H unix://{{ socket }} ps -q --filter label=com.docker.compose.project={{ project }}"
if [ -S {{ socket | sh }} ]; then own=$($ps); fi
[ -n "$own" ] && echo deployed=
disk() {
  there=$2
  while [ ! -e "$there" ]; do there=${there%/*}; there=${there:-/}; done
  df -PkT "$there" |
    awk -v what="$1" 'NR == 2 { print "disk=" what "|" $1 "|" $2 "|" $5 "|" $7 }'
}
{% for path in paths %}
disk {{ path | sh }} {{ path | sh }}
{% endfor %}
root={{ data_root | sh }}
root=${root:-$(sed -n 's/.*"data-root": *"\([^"]*\)".*/\1/p' /etc/docker/daemon.json)}
disk {{ images }} "${root:-/var/lib/docker}"

# Who listens on the gateway's port, unless it is our own container.
[ -n "$own" ] && [ -n "$($ps --filter publish={{ port }})" ] && exit 0
awk '$4 == "0A" && $2 ~ /:{{ "%04X" | format(port) }}$/ { print $2, $10 }' /proc/net/tcp /proc/net/tcp6 |
  while read -r address inode; do
    fd=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$inode\]" -print -quit)
    pid=${fd#/proc/}; pid=${pid%%/*}
    echo "listener=$address ${pid:+$(cat "/proc/$pid/comm") (pid $pid)}"
  done
