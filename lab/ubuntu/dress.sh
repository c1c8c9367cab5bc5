# sh dress.sh CODENAME NUMBER: makes a Debian an Ubuntu, in what is looked at and what is in the way.
set -eu
codename=$1 number=$2
lab=/usr/local/lib/lab
export DEBIAN_FRONTEND=noninteractive
. /etc/os-release
echo "$VERSION_CODENAME" >$lab/debian-release

packages='needrestart unattended-upgrades netplan.io systemd-resolved lsb-release'
case $codename in
  # A minimal image of 26.04: another sudo, and nothing that needs iptables.
  resolute) packages="$packages sudo-rs" ;;
  *) packages="$packages ufw" ;;
esac
apt-get -qq update
apt-get -qq install -y --no-install-recommends $packages >/dev/null
if [ "$codename" = resolute ]; then
  apt-get -qq purge -y iptables >/dev/null
  dpkg-divert --quiet --local --rename --add /usr/bin/sudo
  ln -s sudo-rs /usr/bin/sudo
fi
# Ubuntu's apt needs the keys of Ubuntu's archive.
sed -i '/^Package: apt$/,/^$/ s/debian-archive-keyring, //' /var/lib/dpkg/status
dpkg --purge debian-archive-keyring >/dev/null
apt-get clean
rm -rf /var/lib/apt/lists/*
systemctl unmask systemd-resolved.service
systemctl enable systemd-resolved.service
systemctl disable ufw.service 2>/dev/null || :

cat >/usr/lib/os-release <<END
PRETTY_NAME="Ubuntu $number LTS"
NAME="Ubuntu"
VERSION_ID="$number"
VERSION="$number LTS"
VERSION_CODENAME=$codename
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=$codename
END
printf 'DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=%s\nDISTRIB_CODENAME=%s\nDISTRIB_DESCRIPTION="Ubuntu %s LTS"\n' \
  "$number" "$codename" "$number" >/etc/lsb-release
printf 'Vendor: Ubuntu\nParent: Debian\n' >/etc/dpkg/origins/ubuntu
ln -sf ubuntu /etc/dpkg/origins/default
echo 'PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games:/usr/local/games:/snap/bin"' >/etc/environment
printf 'Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"\nDefaults use_pty\n' \
  >/etc/sudoers.d/ubuntu
chmod 440 /etc/sudoers.d/ubuntu

# What lab-init puts below /etc/apt when the host boots first, in place of Debian's sources.
mkdir -p $lab/ubuntu/sources.list.d
archive=http://127.0.0.1:8055/ubuntu
if [ "$codename" = jammy ]; then
  for suite in $codename $codename-updates $codename-security; do
    echo "deb [signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg] $archive $suite main universe"
  done >$lab/ubuntu/sources.list
else
  echo '# Ubuntu sources have moved to /etc/apt/sources.list.d/ubuntu.sources' >$lab/ubuntu/sources.list
  cat >$lab/ubuntu/sources.list.d/ubuntu.sources <<END
Types: deb
URIs: $archive/
Suites: $codename $codename-updates $codename-security
Components: main universe
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
END
fi

cat >/etc/systemd/system/lab-archive.service <<END
[Unit]
Description=The archive of this host's packages
[Service]
ExecStart=/usr/bin/python3 $lab/archive.py
[Install]
WantedBy=multi-user.target
END
systemctl enable lab-archive.service

# What cloud-init leaves.
printf 'd /run/cloud-init 0755\nf /run/cloud-init/result.json 0644 - - - {}\n' >/etc/tmpfiles.d/cloud-init.conf
install -d /etc/netplan
(umask 077; printf 'network:\n  version: 2\n  ethernets:\n    eth0: {dhcp4: true}\n' >/etc/netplan/50-cloud-init.yaml)
echo 'PasswordAuthentication no' >/etc/ssh/sshd_config.d/50-cloud-init.conf
# As Ubuntu's asks: which services to start again.
printf '$nrconf{restart} = "i";\n1;\n' >/etc/needrestart/conf.d/lab.conf
