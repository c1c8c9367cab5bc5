# sh -s -- start            make the engine run, now and after a boot
# sh -s -- apply reload|restart   make it run with the daemon.json that was just written
# A daemon.json that keeps the engine from running is taken back: FILE.openclaw-previous is the one before.
file=/etc/docker/daemon.json
previous=$file.openclaw-previous
pid_file=/var/run/docker.pid
new_file_used() { [ -e $pid_file ] && [ $pid_file -nt $file ]; }

main() {
  case $1 in
    start)
      start
      ready || fail 'Docker Engine does not start'
      ;;
    apply)
      if ! running; then start
      elif new_file_used; then :
      elif [ "$2" = reload ]; then reload
      else
        # Containers survive a restart of the engine only if it has live-restore on before.
        reload
        live_restore
        service_do restart
      fi
      ready || fail 'Docker Engine does not run with the new daemon.json'
      rm -f $previous
      ;;
  esac
}

has_systemd() { [ -d /run/systemd/system ]; }
running() { docker -H unix:///var/run/docker.sock version >/dev/null 2>&1; }

service_do() {
  if has_systemd; then
    systemctl reset-failed docker.service 2>/dev/null
    systemctl "$1" docker.service
  else
    if [ "$1" = restart ]; then service docker stop >/dev/null 2>&1; fi
    service docker start >/dev/null 2>&1 || start_as_the_script_does
  fi
}

# /etc/init.d/docker gives up where it may not raise its limits, as in a container. The same
# pid files, so that its stop and status work.
start_as_the_script_does() (
  if [ -f /etc/default/docker ]; then . /etc/default/docker; fi
  # shellcheck disable=SC2086
  start-stop-daemon --start --oknodo --background --no-close --exec "$(command -v dockerd)" \
    --pidfile /var/run/docker-ssd.pid --make-pidfile -- -p $pid_file $DOCKER_OPTS \
    >>/var/log/docker.log 2>&1
)

start() {
  if has_systemd; then systemctl -q enable docker.service; fi
  service_do start || true
}

reload() { kill -HUP "$(cat $pid_file)"; }

live_restore() {
  grep -q '"live-restore": *true' $file || return 0
  await 10 sh -c '[ "$(docker -H unix:///var/run/docker.sock info -f "{{ "{{.LiveRestoreEnabled}}" }}")" = true ]'
}

ready() { await 90 running; }

# await SECONDS COMMAND...: until it succeeds, or the engine has ended.
await() {
  end=$(($(date +%s) + $1)); shift
  until "$@"; do
    [ "$(date +%s)" -lt $end ] || return 1
    ended && return 1
    sleep 0.2
  done
}

ended() {
  if has_systemd; then systemctl -q is-failed docker.service
  else pid=$(cat /var/run/docker-ssd.pid 2>/dev/null) && ! kill -0 "$pid" 2>/dev/null; fi
}

fail() {
  echo "$1" >&2
  if has_systemd; then
    journalctl --no-pager --quiet --output=cat --lines=5 _SYSTEMD_UNIT=docker.service >&2
  else
    tail -n 50 /var/log/docker.log | grep -E 'level=(error|fatal)|ail|nable' | tail -n 5 >&2
  fi
  if [ -e $previous ]; then
    if [ -s $previous ]; then mv -f $previous $file; else rm -f $file $previous; fi
    service_do start
    if ready; then echo "the daemon.json of before is back, and the engine runs" >&2
    else echo "the daemon.json of before is back, but the engine does not run" >&2; fi
  fi
  exit 1
}

main "$@" </dev/null
