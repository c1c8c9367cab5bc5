# Debian 12 has neither Compose v2 nor buildx. Debian 13's packages of them depend on libc6 alone: take
# those two, and nothing else, from the mirror that this host uses already.
main() {
  set -eu
  umask 022
  mirror=$(apt-get update --print-uris | sed -n "s#^'\(.*\)/dists/bookworm/.*InRelease'.*#\1#p" | head -1)
  [ -n "$mirror" ] || { echo 'no apt source for bookworm on this host' >&2; exit 1; }
  put {{ source | sh }} <<END
# Made by openclaw-pyinfra: docker-compose and docker-buildx of Debian 13, see {{ pin }}.
# Remove both files before upgrading this host to Debian 13.
Types: deb
URIs: $mirror
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
  put {{ pin | sh }} <<END
# Made by openclaw-pyinfra: nothing but these two packages comes from Debian 13.
# Remove this file and {{ source }} before upgrading this host to Debian 13.
Package: *
Pin: release n=trixie
Pin-Priority: -10

Package: docker-compose docker-buildx
Pin: release n=trixie
Pin-Priority: 500
END
}

put() {
  cat >"$1.openclaw-new"
  mv -f "$1.openclaw-new" "$1"
}

main </dev/null
