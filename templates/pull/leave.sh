# pull_leaves DEPLOYMENT: takes away what pulls. The host's report goes too, where the repository can be reached: what is
# left of it keeps the rings after it waiting.
pull_leaves() {
  pull_base=/var/lib/openclaw-pyinfra/$1.pull
  if [ -d /run/systemd/system ]; then
    for pull_unit in "$1-pull.timer" "$1-pull.service"; do systemctl disable --quiet --now "$pull_unit" 2>/dev/null || :; done
  fi
  if [ -e "$pull_base/enrolled/pull.sh" ] && ! timeout 120 sh "$pull_base/enrolled/pull.sh" leave >&2; then
    echo "the host's report stays in the repository, under refs/openclaw-pull/; rings after it wait until it is deleted" >&2
  fi
  rm -f "/etc/systemd/system/$1-pull.timer" "/etc/systemd/system/$1-pull.service"
  rm -rf "$pull_base"
  rmdir "${pull_base%/*}" 2>/dev/null || :
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
}
