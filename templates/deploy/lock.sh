# The deploy lock, sent to a host on standard input: functions, then one call.
lock=/run/lock/openclaw-{{ deployment }}.lock
id={{ id | sh }}
variable={{ variable | sh }}

value() { sed -n "s/^$1=//p" "$lock"; }
after_name() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null; } # state, parent, ...; a name may contain anything
# When a process started, in clock ticks since boot; nothing if it is gone or a zombie.
started() { after_name "$1" | awk '$1 != "Z" {print $20}'; }

# The process that lives as long as the connection: ours on this machine, else the session's sshd.
connection() {
  [ "$1" = 0 ] || { echo "$1"; return; }
  pid=$$
  while [ "${pid:-0}" -gt 1 ]; do
    case $(cat "/proc/$pid/comm") in sshd | sshd-session | dropbear) echo "$pid"; return ;; esac
    pid=$(after_name "$pid" | cut -d' ' -f2)
  done
}

# commands ID: "pid name" of the commands of a run that still run: the shell that exports the id has it in
# its arguments, what that shell runs in its environment. Daemons that the run started are not commands.
commands() {
  for pid in $(grep -lsz "$variable=$1" /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3 | sort -u); do
    name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
    case $name in dockerd | containerd* | docker-proxy | docker-init | sshd) ;; *) echo "$pid $name" ;; esac
  done
}

# stoppable ID: those of them that are neither part of a package installation nor waiting for one.
stoppable() {
  cat /proc/[0-9]*/stat 2>/dev/null | awk -v pids="$(commands "$1" | cut -d' ' -f1 | tr '\n' ' ')" '
    {
      name = $0; sub(/^[0-9]+ \(/, "", name); sub(/\) [A-Za-z] .*$/, "", name)
      rest = $0; sub(/^.*\) /, "", rest); split(rest, field, " ")
      parent[$1] = field[2]
      if (name ~ /^(apt|apt-get|dpkg|dpkg-.*)$/) installs[$1] = 1
    }
    END {
      for (pid in installs) for (up = parent[pid]; up > 1; up = parent[up]) waits[up] = 1
      count = split(pids, list, " ")
      for (i = 1; i <= count; i++) {
        spare = list[i] in waits
        for (up = list[i]; up > 1; up = parent[up]) if (up in installs) spare = 1
        if (!spare) print list[i]
      }
    }'
}

# Whether a process ignores SIGINT, as what was started in the background does: to be awaited, not ended.
ignores_interrupt() {
  case $(sed -n 's/^SigIgn://p' "/proc/$1/status" 2>/dev/null) in *[2367abefABEF]) return 0 ;; esac
  return 1
}

# stop ID: interrupt the commands of a run, terminate what does not end of that, and wait until all are gone.
stop() {
  begin=$(date +%s) sent=
  while [ -n "$(commands "$1")" ]; do
    elapsed=$(($(date +%s) - begin))
    [ "$elapsed" -lt {{ limit }} ] || return 0
    [ "$elapsed" -lt 15 ] && signal=INT || signal=TERM
    for pid in $(stoppable "$1"); do
      ignores_interrupt "$pid" && continue
      case " $sent " in *" $pid/$signal "*) ;; *) kill -"$signal" "$pid" 2>/dev/null; sent="$sent $pid/$signal" ;; esac
    done
    sleep 0.2
  done
}

# Only one process at a time looks and writes; the file stays, empty when nobody holds the lock.
open() {
  mkdir -p "${lock%/*}"
  exec 9<>"$lock"
  flock -w 30 9 || { echo "another process holds flock on $lock" >&2; exit 1; }
}

acquire() {
  open
  holder=$(value process) before=$(value id)
  if [ -n "${holder% *}" ] && [ "$(started "${holder% *}")" = "${holder#* }" ]; then
    echo state=held; cat "$lock"; echo "now=$(date +%s)"
    return
  fi
  process=$(connection {{ process }})
  printf 'id=%s\nowner=%s\nmessage=%s\nsince=%s\nprocess=%s\n' "$id" {{ owner | sh }} {{ message | sh }} \
    "$(date +%s)" "${process:+$process $(started "$process")}" >"$lock"
  exec 9>&-
  [ -z "$before" ] || stop "$before"
  [ -z "$before" ] || commands "$before" | sed 's/^/left=/'
  echo state=acquired
}

release() {
  [ -s "$lock" ] || return 0
  open
  if [ "$(value id)" = "$id" ]; then : >"$lock"; fi
}

{ {{ call }}; } </dev/null
