# One that listens reads its configuration again; one that is not there, or is started by a socket, reads it then.
sshd_reload() {
  if [ ! -d /run/systemd/system ]; then
    if [ -s /run/sshd.pid ]; then kill -HUP "$(cat /run/sshd.pid)"; fi
    return
  fi
  for service in ssh sshd; do
    if systemctl is-active --quiet "$service.service"; then systemctl reload "$service.service"; return; fi
  done
}
