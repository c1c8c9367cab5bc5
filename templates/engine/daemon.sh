# Replace daemon.json, keeping the last one that the engine ran with until the new one has proved itself.
main() {
  set -eu
  umask 022
  file=/etc/docker/daemon.json
  previous=$file.openclaw-previous
  new=$file.openclaw-new
  mkdir -p /etc/docker
  (umask 077; printf '%s' {{ content | sh }} >"$new")
  validate
  if [ ! -e "$previous" ]; then
    # An empty one says that there was none.
    if [ -e "$file" ]; then cp -p "$file" "$previous.part"; else : >"$previous.part"; fi
    mv -f "$previous.part" "$previous"
  fi
{% if not secret %}
  if [ -e "$file" ]; then chmod --reference="$file" "$new"; else chmod 644 "$new"; fi
{% endif %}
  mv -f "$new" "$file"
  drop_in {{ drop_in_path | sh }} {{ drop_in | sh }}
}

# What an engine too old for `proxies` in daemon.json takes from systemd; passwords may be in it.
drop_in() {
  [ -n "$2" ] || [ -e "$1" ] || return 0
  mkdir -p "${1%/*}"
  if [ -n "$2" ]; then
    (umask 077; printf '%s' "$2" >"$1.openclaw-new")
    mv -f "$1.openclaw-new" "$1"
  else
    rm -f "$1"
  fi
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
}

# With the options that the running engine was started with, which may contradict the file.
validate() {
  dockerd --help 2>/dev/null | grep -q -- --validate || return 0
  pid=$(cat /var/run/docker.pid 2>/dev/null) || pid=
  options=
  [ -z "$pid" ] || options=$(tr '\0' '\n' <"/proc/$pid/cmdline" | sed 1d | grep -v '^--config-file' || true)
  # shellcheck disable=SC2086
  if ! message=$(dockerd $options --validate --config-file="$new" 2>&1); then
    rm -f "$new"
    echo "dockerd refuses the merged daemon.json, which is not used: $message" >&2
    exit 1
  fi
}

main </dev/null
