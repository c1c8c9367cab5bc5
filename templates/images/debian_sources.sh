# debian_sources SUITE: the Debian sources of this host, one per line, for another release of Debian.
# Nothing on a host that is not Debian. Third parties reuse Debian's suite names, hence the origin.
debian_sources() (
  . /etc/os-release
  [ "$ID" = debian ] || exit 0
  [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -print -quit)" ] || apt_run apt-get -qq update >&2
  apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)' 'Created-By: Packages' |
    awk -F'|' -v own="$VERSION_CODENAME" -v suite="$1" '
      $1 == "Debian" && $2 == "main" && $3 ~ "^(" own "|stable|oldstable)(-updates|-security)?$" {
        sub(/^[a-z]+/, suite, $3)
        line = "deb " $4 " " $3 " main"
        if (!seen[line]++) print line
      }'
)

# apt_settings DIRECTORY: what else this host's apt needs to reach its mirrors, for apt in a container: apt.conf (proxies,
# but not those on loopback, which a container does not reach) and auth.conf (logins); empty where there is nothing.
apt_settings() (
  umask 077
  apt-config dump --format '%F "%v";%n' | grep -E '^Acquire::https?::Proxy(::|[[:space:]])' |
    grep -vE '//(127[.]|localhost|[[]::1[]])' >"$1/apt.conf" || :
  cat /etc/apt/auth.conf /etc/apt/auth.conf.d/*.conf 2>/dev/null >"$1/auth.conf" || :
)
