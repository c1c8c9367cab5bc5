# All that a host's package manager is asked and told, as functions: apt and dpkg, of Debian and Ubuntu. What is Debian's
# alone says so. Other scripts for hosts use these and name neither; another family of distributions is another such
# script, and its releases in operations/distributions.py. Also for `claw` and the lab's scripts.

# packages_install ITEM...: brings packages to the wanted state: NAME, NAME=VERSION, NAME/SUITE, or NAME- to remove.
packages_install() {
  export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical APT_LISTCHANGES_FRONTEND=none
  export NEEDRESTART_SUSPEND=1 UCF_FORCE_CONFFOLD=1 LC_ALL=C.UTF-8
  # What another apt is just doing looks unfinished.
  apt_await || return 1
  apt_mend || return 1
  apt_updated=
  apt_current && apt_resolves "$@" || apt_update
  # Only reading from the network is tried again: once more with new lists when the old ones were stale.
  if ! apt_get install --yes --no-install-recommends --download-only "$@"; then
    [ -z "$apt_updated" ] || return 1
    apt_update
    apt_get install --yes --no-install-recommends --download-only "$@" || return 1
  fi
  packages_note "$@" || return 1
  apt_get install --yes --no-install-recommends "$@"
}

# packages_purge NAME...: takes packages away with their configuration.
packages_purge() {
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C.UTF-8
  # Also what an installation that was cut off left of them.
  apt_get -o Dpkg::Options::=--force-remove-reinstreq purge --yes "$@" >&2
}

# packages_gone_with NAME: what would go if that went, itself included.
packages_gone_with() { apt-get purge --simulate -qq "$1" 2>/dev/null </dev/null | sed -n 's/^\(Purg\|Remv\) \([^ ]*\).*/\2/p'; }

# packages_there NAME: the name if it is installed.
packages_there() { packages_in i "$1"; }

# packages_left NAME: the name if there is anything of it but configuration, as where an installation was cut off.
packages_left() { packages_in '[^nc]' "$1"; }

# packages_in STATE NAME: the name if dpkg has it in such a state, the second letter of `dpkg -l`.
packages_in() { dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$2" 2>/dev/null | sed -n "s/^.$1. //p"; }

# packages_versions NAME...: a line `NAME VERSION` for each that is installed, of its upstream's version.
packages_versions() {
  dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' "$@" 2>/dev/null |
    while read -r status name version; do
      version=${version#*:}
      case $status in ?i*) echo "$name ${version%%[-+~]*}" ;; esac
    done
}

# A line `installed NAME VERSION` for each package, `interrupted NAME` for each whose installation or removal was cut off,
# and `interrupted` where dpkg's own notes were.
packages_state() {
  dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version} ${binary:Package}\n' | awk '
    $1 ~ /^.[UHFWt]|R$/ { print "interrupted", $NF; next }
    $1 ~ /^.i/ { print "installed", $2, $3 }'
  for update in /var/lib/dpkg/updates/[0-9]*; do
    [ ! -e "$update" ] || { echo interrupted; break; }
  done
}

# packages_known NAME...: those of them that the lists have, in one line.
packages_known() { apt-cache policy "$@" | sed -n 's/^\([^ ]*\):$/\1/p' | tr '\n' ' '; }

# Whether there are lists at all.
packages_listed() { [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -print -quit)" ]; }

# When they were fetched, in seconds since 1970; nothing without any.
packages_listed_at() { stat -c %Y /var/lib/apt/lists/*Release 2>/dev/null | sort -n | tail -n 1; }

# How many updates of security there are by them; nobody is asked, and no lock is taken.
packages_security_updates() {
  LC_ALL=C timeout -k 5 60 apt list --upgradable 2>/dev/null </dev/null | grep -c '^[^ /]*/[^ ]*-security[, ]'
}

# The addresses of what the sources say they have, one a line; nothing of it is fetched.
packages_sources() { apt-get update --print-uris | sed -n "s/^'\([^']*\)'.*/\1/p" | grep -v '^cdrom:'; }

# Whether the sources can be read together; says why not.
packages_sources_agree() { apt-get update --print-uris 2>&1 >/dev/null; }

# The address of the index of the host's own release, as `download` takes it.
packages_index() (
  . /etc/os-release
  uris=$(packages_sources | sed -n 's/InRelease$//p')
  uri=$(echo "$uris" | grep "/dists/$VERSION_CODENAME/" | head -1)
  uri=${uri:-$(echo "$uris" | head -1)}
  # apt's helper reads no list of mirrors; who has one is asked for the first of them.
  case $uri in
    mirror*) address=$(reached_at "${uri%%/dists/*}") && [ -n "$address" ] && uri=$address/dists/${uri#*/dists/} ;;
  esac
  echo "${uri}InRelease"
)

# The components of the release that its sources name, one a line.
packages_components() (
  . /etc/os-release
  # Also where there are no lists yet.
  apt-get indextargets -o APT::Get::IndexTargets::ReleaseInfo=false --format '$(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' |
    awk -v own="$VERSION_CODENAME" '$1 == own && !seen[$2]++ { print $2 }'
)

# The architecture of what is installed, in the distribution's word.
packages_architecture() { dpkg --print-architecture; }

# packages_note ITEM...: keeps in mind which packages an installation brings to a host that did not have them, before
# they are installed: `./claw remove --purge-engine` takes away these, and no others.
packages_noted=/etc/openclaw-pyinfra/packages
packages_note() {
  new=$(apt-get install --simulate --yes --no-install-recommends -qq "$@" 2>/dev/null </dev/null |
    awk '/^Inst / && $3 !~ /^\[/ { print $2 }')
  [ -n "$new" ] || return 0
  mkdir -p "${packages_noted%/*}" &&
    { cat $packages_noted 2>/dev/null; printf '%s\n' "$new"; } | sort -u >$packages_noted.new &&
    chmod 644 $packages_noted.new && mv -fT $packages_noted.new $packages_noted
}

# packages_ask ADDRESS FILE: fetches what may be small as apt does, with the host's configuration, and says what apt says.
packages_ask() {
  timeout 10 /usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root -o Acquire::Retries=0 \
    -o Acquire::http::Timeout=4 -o Acquire::https::Timeout=4 ${apt_verify-} download-file "$1" "$2" 2>&1
}

# packages_ask_by_environment DIRECTORY: from here on it knows nothing of that configuration, but proxies of variables.
packages_ask_by_environment() {
  echo 'Dir::Etc::main "/dev/null"; Dir::Etc::parts "/dev/null";' >"$1/apt.conf"
  export APT_CONFIG="$1/apt.conf"
}

# Whether that configuration has a proxy of its own.
packages_proxied() { apt-config dump | grep -Eq '^Acquire::https?::Proxy'; }

# Has programs that read no configuration of apt use its proxies.
packages_export_proxies() {
  eval "$(apt-config shell apt_http Acquire::http::Proxy apt_https Acquire::https::Proxy)"
  [ "${apt_http:-DIRECT}" = DIRECT ] || export http_proxy="$apt_http"
  [ "${apt_https:-DIRECT}" = DIRECT ] || export https_proxy="$apt_https"
}

# download ADDRESS: whether that can be fetched; prints why not.
# Nothing is read from the answer, so a host that has no CAs yet need not verify it.
download() {
  apt_verify=; [ -s /etc/ssl/certs/ca-certificates.crt ] || apt_verify='-o Acquire::https::Verify-Peer=false'
  directory=$(mktemp -d)
  packages_ask "$1" "$directory/file" | sed -n 's/^E: *//p' | sed 's#//[^/@]*@#//#g' | head -1
  [ -s "$directory/file" ]; found=$?
  rm -rf "$directory"
  return $found
}

# reached_at URI: the address behind an apt source as a container reaches it too: http or https, and for a list of mirrors
# (mirror+file:, mirror://; apt-transport-mirror(1)) the first of them. Nothing for what only this host has.
reached_at() {
  case $1 in
    http://localhost[:/]* | http://127.* | http://\[::1\]* | https://localhost[:/]* | https://127.* | https://\[::1\]*) ;;
    http://* | https://*) echo "${1%/}" ;;
    mirror+file:* | mirror+copy:*)
      list=${1#*:} && list=${list#//}
      /usr/lib/apt/apt-helper cat-file "${list%/}" 2>/dev/null | first_mirror ;;
    mirror://* | mirror+http://* | mirror+https://*)
      list=${1#mirror} && list=${list#+} && list=${list%/}
      case $list in :*) list=http$list ;; esac
      directory=$(mktemp -d)
      timeout 20 /usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root download-file "$list" "$directory/${list##*/}" \
        >/dev/null 2>&1 && /usr/lib/apt/apt-helper cat-file "$directory/${list##*/}" 2>/dev/null | first_mirror
      rm -rf "$directory" ;;
  esac
}

# Those that have no limits go before those that have some, then the lowest priority.
first_mirror() {
  awk '
    /^https?:\/\// && !/^https?:\/\/(localhost[:\/]|127\.|\[::1\])/ {
      rank = 1e9
      for (i = 2; i <= NF; i++) {
        if ($i ~ /^priority:[0-9]+$/) rank += substr($i, 10) - 1e9
        else if ($i !~ /^lang:/) limited = 1e10
      }
      rank += limited; limited = 0
      if (best == "" || rank < lowest) { lowest = rank; best = $1 }
    }
    END { sub(/\/$/, "", best); if (best != "") print best }'
}

# debian_sources SUITE [ADDRESS...]: sources of Debian, one per line, for a release of Debian: at these addresses, else
# those of this host, as a container reaches them; fails where it reaches none. Nothing on a host that is not Debian.
debian_sources() (
  . /etc/os-release
  [ $# = 1 ] || { debian_named "$@"; exit; }
  [ "$ID" = debian ] || exit 0
  packages_listed || apt_run apt-get -qq update >&2
  # Third parties reuse Debian's suite names, hence the origin, which the lists tell.
  debian_reached "$1" Debian
)

# debian_named SUITE ADDRESS...: those at addresses; one that ends in -security has updates of security alone. The key's
# file is where Debian's images have it, too.
debian_named() (
  suite=$1
  shift
  for address; do
    address=${address%/}
    case $address in
      *-security) suites=$suite-security ;;
      *) suites="$suite $suite-updates" ;;
    esac
    for one in $suites; do echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $address/ $one main"; done
  done
)

# debian_reached SUITE ORIGIN...: the same of those that have one of these origins; "" is that of a source without lists.
debian_reached() (
  . /etc/os-release
  wanted=$1
  shift
  apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)' 'Created-By: Packages' |
    awk -F'|' -v own="$VERSION_CODENAME" -v suite="$wanted" -v origins="|$(printf '%s|' "$@")" '
      index(origins, "|" $1 "|") && $2 == "main" && $3 ~ "^(" own "|stable|oldstable)(-updates|-security)?$" {
        sub(/^[a-z]+/, suite, $3)
        if (!seen[$3, $4]++) print $3 "|" $4
      }' | {
    found= only_here=
    while IFS='|' read -r suite uri; do
      address=$(reached_at "$uri")
      if [ -z "$address" ]; then only_here="$only_here $uri"; continue; fi
      echo "deb $address/ $suite main"
      [ "$suite" != "$wanted" ] || found=yes
    done
    [ -n "$found" ] || [ -z "$only_here" ] || {
      echo "no container reaches this host's apt sources of Debian:$only_here" | sed 's#://[^/@ ]*@#://#g' >&2
      exit 1
    }
  }
)

# packages_settings DIRECTORY: what else this host's apt needs to reach its mirrors, for apt in a container: apt.conf (proxies,
# but not those on loopback, which a container does not reach) and auth.conf (logins); empty where there is nothing.
packages_settings() (
  umask 077
  apt-config dump --format '%F "%v";%n' | grep -E '^Acquire::https?::Proxy(::|[[:space:]])' |
    grep -vE '//(127[.]|localhost|[[]::1[]])' >"$1/apt.conf" || :
  cat /etc/apt/auth.conf /etc/apt/auth.conf.d/*.conf 2>/dev/null >"$1/auth.conf" || :
)

apt_get() {
  apt_run apt-get -q -o DPkg::Lock::Timeout="$apt_left" -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null
}

# Of what was cut off, dpkg itself finishes what is unpacked and is to stay; what is half unpacked or half removed it leaves,
# and apt takes it for installed.
apt_mend() {
  apt_interrupted >/dev/null || return 0
  # Without a name it would be asked for those of all packages.
  apt_interrupted | xargs -r dpkg --get-selections | sed -n 's/[[:space:]]*\(deinstall\|purge\)$/ install/p' |
    dpkg --set-selections
  message=$(apt_run dpkg --force-confdef --force-confold --configure -a 2>&1 </dev/null) ||
    case $message in *'locked by another process'* | 'apt is in use'*) echo "$message" >&2; return 1 ;; esac
  apt_broken=$(apt_interrupted) || return 0
  apt_current || apt_update
  apt_get install --yes --fix-broken --reinstall $apt_broken || return 1
  if apt_broken=$(apt_interrupted); then
    printf 'an installation or a removal was cut off and cannot be finished, see `dpkg --audit`: %s\n' "$apt_broken" >&2
    return 1
  fi
}

# The names of what was cut off, if anything was.
apt_interrupted() { packages_state | sed -n 's/^interrupted *//p' | grep ''; }

# The lists are there, younger than a day, and not older than the sources they were made from.
apt_partial=/var/lib/apt/lists/partial
apt_current() {
  packages_listed && [ -n "$(find $apt_partial -maxdepth 0 -mmin -1440)" ] &&
    [ -z "$(find /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/preferences.d \
      -newer $apt_partial -print -quit 2>/dev/null)" ]
}

apt_resolves() { apt-get install --simulate -qq "$@" >/dev/null 2>&1 </dev/null; }

# A source of the user's that fails is no reason to stop: what it keeps from being installed is reported by apt.
apt_update() { apt_updated=yes; apt_get update && touch $apt_partial; }

# apt_run COMMAND...: runs what takes a lock of apt's or dpkg's, as root, once all of them are free; says who holds them
# meanwhile, and fails after $apt_left seconds of waiting in all.
# DPkg::Lock::Timeout is for dpkg's own locks: `apt-get update` and downloads fail at once while another apt holds
# lists/lock or archives/lock, as at the first boot of a cloud image.
: "${apt_left:=600}"

apt_run() {
  while apt_await || return 1; do
    # Who comes between takes them from us: then it says so, and is run again.
    { apt_said=$({
      { LC_ALL=C.UTF-8 "$@" 2>&1 >&3 3>&- 4>&- && echo 0 >&4 || echo $? >&4; } |
        sed -nu -e 'w /dev/stderr' -e 's/.*\(Could not get lock\|locked by another process\).*/locked/p' >&4
    } 4>&1); } 3>&1
    apt_code=$(printf '%s\n' "$apt_said" | grep -xm1 '[0-9]*')
    case $apt_code/$apt_said in
      [1-9]*/*locked*) if [ "$apt_left" -gt 0 ]; then apt_pause; continue; fi ;;
    esac
    return "$apt_code"
  done
}

apt_await() {
  apt_first_boot
  apt_waited=
  while apt_held=$(apt_holders) && [ -n "$apt_held" ]; do
    if [ "$apt_left" -le 0 ]; then
      [ -n "${apt_told-}" ] ||
        printf 'apt is in use: %s\nwait until that has ended, or end it, then run again\n' "$apt_held" >&2
      apt_told=yes
      return 1
    fi
    [ "$apt_held" = "$apt_waited" ] || printf 'waiting for apt: %s\n' "$apt_held"
    apt_waited=$apt_held
    apt_pause
  done
}

# Between two calls of its own, cloud-init holds no lock; who takes one then has it fail, for it waits half a minute at
# most. What does not end by itself is no reason to stop.
apt_first_boot() {
  while [ "$apt_left" -gt 0 ] && apt_cloud_init; do
    [ -n "${apt_cloud-}" ] || echo 'waiting for cloud-init, which may be installing packages'
    apt_cloud=told
    apt_pause
  done
}

# Whether a unit of cloud-init's is being started, and this is no part of what it does (`runcmd`).
apt_cloud_init() {
  [ -d /run/cloud-init ] && ! grep -q '/cloud-[a-z-]*[.]service' /proc/self/cgroup &&
    systemctl list-jobs --no-legend 2>/dev/null </dev/null | grep -Eq ' cloud-[a-z-]+[.]service +start '
}

# Not by the clock, which a first boot sets.
apt_pause() { sleep 1; apt_left=$((apt_left - 1)); }

# A line for each lock that is held: the file, and by whom. Nothing where there is no perl; apt itself says it then.
apt_holders() {
  eval "$(apt-config shell apt_lists Dir::State::lists/f apt_archives Dir::Cache::archives/f apt_status Dir::State::status/f)"
  : "${apt_lists:=/var/lib/apt/lists}" "${apt_archives:=/var/cache/apt/archives}"
  apt_admin=${apt_status:-/var/lib/dpkg/status}
  perl -MFcntl -e '
    for my $file (@ARGV) {
      open(my $handle, "<", $file) or next;
      my $lock = pack("s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0);
      fcntl($handle, F_GETLK, $lock) or next;
      my ($kind, $pid) = (unpack("s s x4 q q l", $lock))[0, 4];
      next if $kind == F_UNLCK;
      my $command = "";
      if ($pid > 0 && open(my $process, "<", "/proc/$pid/cmdline")) { local $/; $command = <$process> // "" }
      $command =~ tr/\0/ /;
      $command =~ s#://[^/\@\s]*\@#://#g;
      $command =~ s/[^ -~]+/?/g;
      $command =~ s/ +$//;
      $command = substr($command, 0, 117) . "..." if length $command > 120;
      print "$file is held by ", $pid > 0 ? "process $pid" : "another process", $command ? " ($command)\n" : "\n";
    }' "${apt_admin%/*}/lock-frontend" "${apt_admin%/*}/lock" "${apt_lists%/}/lock" \
    "${apt_archives%/}/lock" 2>/dev/null || :
}
