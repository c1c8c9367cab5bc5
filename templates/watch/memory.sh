# What the control group of the process $pid has in use, as `docker stats` counts it, and may have: bytes, by cgroup v2 or
# v1 (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst).
group=$(sed -n 's/^0:://p' "/proc/$pid/cgroup" 2>/dev/null) used=memory.current limit=memory.max cache=inactive_file
if [ ! -e "/sys/fs/cgroup$group/memory.current" ]; then
  group=/memory$(sed -n 's/^[0-9]*:\([^:]*,\)\{0,1\}memory\(,[^:]*\)\{0,1\}://p' "/proc/$pid/cgroup" 2>/dev/null)
  used=memory.usage_in_bytes limit=memory.limit_in_bytes cache=total_inactive_file
fi
group=/sys/fs/cgroup$group
[ ! -e "$group/$used" ] || say memory "$(cat "$group/$used" "$group/$limit" "$group/memory.stat" 2>/dev/null |
  awk -v cache="$cache" 'NR == 1 { used = $1 } NR == 2 { limit = $1 } $1 == cache { used -= $2 }
    END { printf "%.0f %s\n", used, limit }')"
