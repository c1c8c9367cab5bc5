# sh -s -- ITEM...: bring packages to the wanted state; the one way in which the toolkit calls apt.
# An item is what apt-get install takes: NAME, NAME=VERSION, NAME/SUITE, or NAME- to remove.
main() {
  export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical APT_LISTCHANGES_FRONTEND=none
  export NEEDRESTART_SUSPEND=1 UCF_FORCE_CONFFOLD=1 LC_ALL=C.UTF-8
  partial=/var/lib/apt/lists/partial
  mend || exit 1
  updated=
  lists_current && resolvable "$@" || update
  # Only reading from the network is tried again: once more with new lists when the old ones were stale.
  if ! apt_get install --yes --no-install-recommends --download-only "$@"; then
    [ -z "$updated" ] || exit 1
    update
    apt_get install --yes --no-install-recommends --download-only "$@" || exit 1
  fi
  apt_get install --yes --no-install-recommends "$@"
}

apt_get() {
  apt-get -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null
}

# A killed run leaves packages unpacked but not configured. dpkg itself does not wait for its lock.
mend() {
  interrupted || return 0
  deadline=$(($(date +%s) + 600))
  while :; do
    message=$(dpkg --force-confdef --force-confold --configure -a 2>&1 </dev/null) && break
    case $message in *'locked by another process'*) ;; *) break ;; esac
    [ "$(date +%s)" -lt $deadline ] || { echo "$message" >&2; return 1; }
    sleep 1
  done
  interrupted || return 0
  lists_current || update
  apt_get install --yes --fix-broken
}

interrupted() {
  [ -n "$(dpkg --audit 2>/dev/null)" ] || [ -n "$(find /var/lib/dpkg/updates -name '[0-9]*' 2>/dev/null)" ]
}

# The lists are there, younger than a day, and not older than the sources they were made from.
lists_current() {
  [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -print -quit)" ] &&
    [ -n "$(find $partial -maxdepth 0 -mmin -1440)" ] &&
    [ -z "$(find /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/preferences.d \
      -newer $partial -print -quit 2>/dev/null)" ]
}

resolvable() { apt-get install --simulate -qq "$@" >/dev/null 2>&1 </dev/null; }

# A source of the user's that fails is no reason to stop: what it keeps from being installed is reported by apt.
update() {
  updated=yes
  apt_get update && touch $partial
}

main "$@"
