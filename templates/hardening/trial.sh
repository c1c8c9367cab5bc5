# sh FILE try|keep|back: what could lock somebody out is tried, and the host itself takes it back unless somebody
# confirms over a new connection, in time, that he gets in. Before this: `trial`, `seconds`, `id` (another one each time)
# and the functions `put`, `kept` and `undo`, of which `undo` can be done again at any time.
set -u
umask 077
unit=openclaw-${trial##*/}
systemd() { [ -d /run/systemd/system ]; }

# Whoever comes first, the confirmation or the end of the time, is alone.
alone() {
  exec 9>"/run/$unit.lock"
  flock -w 20 9 || { echo "somebody else holds /run/$unit.lock" >&2; return 1; }
}
pending() { [ "$(cat "$trial/id" 2>/dev/null)" = "$1" ]; }
over() {
  rm -rf "$trial"
  if systemd; then systemctl stop "$unit-*.timer"; fi
  [ -e "/etc/systemd/system/$unit.service" ] || return 0
  systemctl disable --quiet "$unit.service"
  rm -f "/etc/systemd/system/$unit.service"
  systemctl daemon-reload
}

# A reboot in between counts as nobody's confirmation.
at_boot() {
  cat >"/etc/systemd/system/$unit.service" <<END
[Unit]
Description=Take back what nobody has confirmed
Before=ssh.service sshd.service
[Service]
Type=oneshot
ExecStart=/bin/sh $trial/script back
[Install]
WantedBy=multi-user.target
END
  systemctl daemon-reload && systemctl enable --quiet "$unit.service"
}
# The clock is the host's, and goes on whatever becomes of the run, its connection and its processes.
clock() {
  if systemd; then
    at_boot && systemd-run --quiet --collect --unit="$unit-$id" --on-active="$seconds" \
      --timer-property=AccuracySec=1s /bin/sh "$trial/script" back "$id"
  else
    env -i PATH="$PATH" setsid sh -c 'sleep "$1"; exec sh "$2" back "$3"' sh "$seconds" "$trial/script" "$id" \
      </dev/null >/dev/null 2>&1 9>&- &
  fi
}

case $1 in
  try)
    alone || exit 1
    # Of a run that was killed.
    [ ! -e "$trial/script" ] || sh "$trial/script" undo || exit 1
    over
    mkdir -p "$trial" && mv -f "$0" "$trial/script" && echo "$id" >"$trial/id" && clock && put && exit 0
    echo "it is taken back" >&2
    undo
    over
    exit 1 ;;
  keep)
    alone || exit 1
    pending "$id" || { echo "the host has taken it back" >&2; exit 1; }
    sh "$trial/script" kept && over ;;
  back)
    alone || : # whoever hangs there, it is time
    pending "${2-$(cat "$trial/id")}" || exit 0
    undo && over ;;
  undo) undo ;;
  kept)
    set -e
    kept ;;
esac
