# sh -s -- DIRECTORY: on a Debian 13 host, a signed apt repository in the shape of Docker's own: the
# contents of Debian's packages under Docker's five names, and the key beside them, as debian/gpg.
set -eu
site=$1
repository=$site/debian
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
architecture=$(dpkg --print-architecture)
export DEBIAN_FRONTEND=noninteractive GNUPGHOME=/root/repository-key
apt-get -qq update
apt-get -qq install -y --no-install-recommends apt-utils gpg gpg-agent >/dev/null
rm -rf "$site" /root/packages "$GNUPGHOME"
mkdir -p /root/packages "$repository/pool" "$repository/dists/$codename/stable/binary-$architecture"
cd /root/packages
apt-get -qq -o APT::Sandbox::User=root download \
  docker.io docker-cli containerd runc docker-compose docker-buildx

# repack NAME VERSION DEPENDS CONFLICTS SOURCE...: the first source gives the maintainer scripts.
repack() {
  name=$1 version=$2 depends=$3 conflicts=$4
  shift 4
  for source in "$@"; do
    dpkg-deb -x "$source"_[0-9]*.deb "$name"
    [ -d "$name/DEBIAN" ] || dpkg-deb -e "$source"_[0-9]*.deb "$name/DEBIAN"
  done
  rm -rf "$name/DEBIAN/md5sums" "$name/usr/share/doc" "$name/usr/share/lintian"
  cat >"$name/DEBIAN/control" <<END
Package: $name
Version: $version
Architecture: $architecture
Maintainer: openclaw-pyinfra tests <tests@example.invalid>
Depends: $depends
Conflicts: $conflicts
Replaces: $conflicts
Description: stand-in for Docker's package of this name
END
  dpkg-deb --root-owner-group -Znone -b "$name" "$repository/pool" >/dev/null
}

# The relations of Docker's own packages.
repack docker-ce 5:28.0.0-1 'containerd.io, docker-ce-cli, iptables, tini, libsystemd0, adduser' 'docker.io' docker.io
repack docker-ce-cli 5:28.0.0-1 'libc6' 'docker-cli' docker-cli
repack containerd.io 1.7.25-1 'libc6, libseccomp2' 'containerd, runc' containerd runc
repack docker-buildx-plugin 0.21.0-1 'libc6' 'docker-buildx' docker-buildx
repack docker-compose-plugin 2.33.0-1 'libc6' 'docker-compose' docker-compose

cd "$repository"
apt-ftparchive packages pool >"dists/$codename/stable/binary-$architecture/Packages"
apt-ftparchive -o APT::FTPArchive::Release::Suite="$codename" \
  -o APT::FTPArchive::Release::Codename="$codename" \
  -o APT::FTPArchive::Release::Components=stable \
  -o APT::FTPArchive::Release::Architectures="$architecture" release "dists/$codename" >Release
mkdir -p -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'Stand-in <tests@example.invalid>' rsa3072 sign never
gpg --batch --quiet --clearsign --output "dists/$codename/InRelease" Release
gpg --armor --export >gpg
systemd-run --quiet --unit=repository python3 -m http.server --directory "$site" 80
timeout 20 sh -c 'until curl -sf http://127.0.0.1/debian/gpg >/dev/null; do sleep 0.1; done'
