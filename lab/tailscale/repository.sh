# sh -s -- SITE PROGRAM CODENAME...: on a Debian host, a signed apt repository in the shape of Tailscale's own, with the
# stand-in as its package: SITE/stable/debian, and for each release its key beside, as CODENAME.gpg.
set -eu
site=$1 program=$2
shift 2
repository=$site/stable/debian
export DEBIAN_FRONTEND=noninteractive GNUPGHOME=/root/tailscale-key
apt-get -qq update
apt-get -qq install -y --no-install-recommends apt-utils gpg gpg-agent >/dev/null
rm -rf "$site" /root/tailscale "$GNUPGHOME"
mkdir -p -m 700 "$GNUPGHOME"
mkdir -p "$repository/pool" /root/tailscale/DEBIAN /root/tailscale/usr/bin /root/tailscale/usr/sbin \
  /root/tailscale/usr/lib/systemd/system
cd /root/tailscale
install -m 755 "$program" usr/bin/tailscale
install -m 755 "$program" usr/sbin/tailscaled
cat >usr/lib/systemd/system/tailscaled.service <<'END'
[Unit]
Description=Stand-in of Tailscale's node agent
[Service]
ExecStart=/usr/sbin/tailscaled
Restart=on-failure
[Install]
WantedBy=multi-user.target
END
cat >DEBIAN/control <<'END'
Package: tailscale
Version: 1.90.0
Architecture: all
Maintainer: openclaw-pyinfra tests <tests@example.invalid>
Depends: python3, openssl, iproute2
Description: stand-in for Tailscale's package of this name
END
# As Tailscale's own package does.
printf '#!/bin/sh\nset -e\nsystemctl daemon-reload\nsystemctl enable --quiet --now tailscaled\n' >DEBIAN/postinst
printf '#!/bin/sh\nset -e\n[ "$1" = upgrade ] || systemctl disable --quiet --now tailscaled\n' >DEBIAN/prerm
printf '#!/bin/sh\nset -e\n[ "$1" != purge ] || rm -rf /var/lib/tailscale\n' >DEBIAN/postrm
chmod 755 DEBIAN/postinst DEBIAN/prerm DEBIAN/postrm
dpkg-deb --root-owner-group -b . "$repository/pool" >/dev/null
gpg --batch --quiet --passphrase '' --quick-generate-key 'Stand-in <tests@example.invalid>' rsa3072 sign never
cd "$repository"
for codename in "$@"; do
  for architecture in amd64 arm64; do
    mkdir -p "dists/$codename/main/binary-$architecture"
    apt-ftparchive packages pool >"dists/$codename/main/binary-$architecture/Packages"
  done
  apt-ftparchive -o APT::FTPArchive::Release::Suite="$codename" -o APT::FTPArchive::Release::Codename="$codename" \
    -o APT::FTPArchive::Release::Components=main -o APT::FTPArchive::Release::Architectures='amd64 arm64' \
    release "dists/$codename" >/root/Release
  gpg --batch --quiet --clearsign --output "dists/$codename/InRelease" /root/Release
  gpg --armor --export >"$codename.gpg"
done
systemctl is-active --quiet tailscale-repository ||
  systemd-run --quiet --unit=tailscale-repository python3 -m http.server --directory "$site" 80
timeout 20 sh -c 'until curl -sf http://127.0.0.1/stable/debian/bookworm.gpg >/dev/null; do sleep 0.1; done'
