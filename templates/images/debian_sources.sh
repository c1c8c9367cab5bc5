# debian_sources SUITE: the Debian sources of this host, one per line, for another release of Debian, as a container
# reaches them; fails where it reaches none. Nothing on a host that is not Debian.
debian_sources() (
  . /etc/os-release
  [ "$ID" = debian ] || exit 0
  [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -print -quit)" ] || apt_run apt-get -qq update >&2
  # Third parties reuse Debian's suite names, hence the origin, which the lists tell.
  debian_reached "$1" Debian
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

# apt_settings DIRECTORY: what else this host's apt needs to reach its mirrors, for apt in a container: apt.conf (proxies,
# but not those on loopback, which a container does not reach) and auth.conf (logins); empty where there is nothing.
apt_settings() (
  umask 077
  apt-config dump --format '%F "%v";%n' | grep -E '^Acquire::https?::Proxy(::|[[:space:]])' |
    grep -vE '//(127[.]|localhost|[[]::1[]])' >"$1/apt.conf" || :
  cat /etc/apt/auth.conf /etc/apt/auth.conf.d/*.conf 2>/dev/null >"$1/auth.conf" || :
)
