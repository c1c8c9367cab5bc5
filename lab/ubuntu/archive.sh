# sh archive.sh CODENAME NUMBER DIRECTORY: on a Debian, the archive of an Ubuntu: Debian's packages, and those of an engine
# under Ubuntu's names. What is Debian's as it is has no file here: archive.py knows the mirror that has it.
set -eu
codename=$1 number=$2 site=$3
. /etc/os-release
architecture=$(dpkg --print-architecture)
export DEBIAN_FRONTEND=noninteractive GNUPGHOME=/root/key
apt-get -qq update
apt-get -qq install -y --no-install-recommends apt-utils gpg gpg-agent >/dev/null
mkdir -p /root/packages "$site/pool/universe"
cd /root/packages

# later COMMAND...: apt-get for Debian 13, whose Compose and buildx depend on libc6 alone.
state=/root/later
later() {
  apt-get -qq -o Dir::Etc::SourceList=$state/sources.list -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::lists=$state/lists -o Dir::Cache=$state/cache -o APT::Sandbox::User=root "$@"
}
mkdir -p $state/lists/partial $state/cache/archives/partial
sed "s/ $VERSION_CODENAME / trixie /" /etc/apt/sources.list >$state/sources.list
later update
later download docker-compose docker-buildx
engine=docker.io
[ "$VERSION_CODENAME" = bookworm ] || engine='docker.io docker-cli' # Ubuntu's has both
apt-get -qq -o APT::Sandbox::User=root download $engine

# repack NAME SOURCE...: the first source gives the maintainer scripts and relations.
repack() {
  name=$1
  shift
  for source; do
    dpkg-deb -x "$source"_[0-9]*.deb "$name"
    [ -d "$name/DEBIAN" ] || dpkg-deb -e "$source"_[0-9]*.deb "$name/DEBIAN"
  done
  rm -rf "$name/DEBIAN/md5sums" "$name/usr/share/doc" "$name/usr/share/man"
  sed -i "s/^Package: .*/Package: $name/
    s/^Version: \([0-9.]*\).*/Version: \1-0ubuntu1~$number.1/
    /^\(Source\|Built-Using\|Static-Built-Using\): /d
    s/, docker-cli[^,]*//; s/docker-cli[^,]*, //; s/^\(Recommends\|Depends\): docker-cli[^,]*$//
    s/^Maintainer: .*/Maintainer: the lab <tests@example.invalid>/" "$name/DEBIAN/control"
  sed -i '/^$/d' "$name/DEBIAN/control"
  dpkg-deb --root-owner-group -Znone -b "$name" "$site/pool/universe" >/dev/null
}
repack docker.io $engine
repack docker-compose-v2 docker-compose
repack docker-buildx docker-buildx

cd "$site"
main=dists/$codename/main/binary-$architecture universe=dists/$codename/universe/binary-$architecture
for suite in $codename $codename-updates $codename-security; do
  for component in main universe; do
    mkdir -p "dists/$suite/$component/binary-$architecture"
    : >"dists/$suite/$component/binary-$architecture/Packages"
  done
done
lists=$(find /var/lib/apt/lists -name "*_dists_${VERSION_CODENAME}_main_binary-${architecture}_Packages*")
/usr/lib/apt/apt-helper cat-file "$lists" |
  awk -v RS= -v ORS='\n\n' '
    $2 == "apt" { sub("debian-archive-keyring, ", "") }
    $2 !~ /^docker(\.io|-cli|-compose|-buildx|-doc)$/' >"$main/Packages"
apt-ftparchive packages pool/universe >"$universe/Packages"
mkdir -p -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'The lab <tests@example.invalid>' rsa3072 sign never
for suite in $codename $codename-updates $codename-security; do
  for packages in "dists/$suite"/*/binary-*/Packages; do gzip -1k "$packages"; done
  apt-ftparchive -o APT::FTPArchive::Release::Origin=Ubuntu -o APT::FTPArchive::Release::Label=Ubuntu \
    -o APT::FTPArchive::Release::Suite="$suite" -o APT::FTPArchive::Release::Codename="$codename" \
    -o APT::FTPArchive::Release::Version="$number" -o APT::FTPArchive::Release::Components='main universe' \
    -o APT::FTPArchive::Release::Architectures="$architecture" release "dists/$suite" >/root/Release
  gpg --batch --quiet --clearsign --output "dists/$suite/InRelease" /root/Release
  rm "dists/$suite"/*/binary-*/Packages
done
gpg --export >/root/ubuntu-archive-keyring.gpg
