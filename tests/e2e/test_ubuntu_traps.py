"""What is in the way on an Ubuntu, each alone, on a stand-in that has nothing yet."""

from __future__ import annotations

import socket
import subprocess

import pytest

from lab import hosts as lab
from operations.base import templates
from tests.e2e.hardening_job import Job
from tests.e2e.harness import until
from tests.e2e.test_apt_in_use import HOLD
from tests.e2e.test_sudo_password import PASSWORD, PREPARE

pytestmark = [pytest.mark.engine, pytest.mark.long]

# Cloud-init's last stage, which has the lock for a while, and installs something then.
CLOUD_FINAL = """
cat >/run/systemd/system/cloud-final.service <<END
[Service]
Type=oneshot
ExecStart=/usr/bin/perl /root/hold.pl /var/lib/dpkg/lock-frontend
ExecStart=/usr/bin/apt-get -qq -o DPkg::Lock::Timeout=0 install -y --no-install-recommends bc
END
systemctl daemon-reload
systemctl start --no-block cloud-final.service
timeout 20 sh -c 'until [ -e /run/held ]; do sleep 0.1; done'
"""
SNAP = """
mkdir -p /snap/bin
printf '#!/bin/sh\\nexit 1\\n' >/snap/bin/docker
chmod 755 /snap/bin/docker
"""
ASKING = """
dpkg-divert --quiet --local --rename --add /usr/sbin/needrestart
printf '#!/bin/sh\\necho asked >>/run/asked\\n' >/usr/sbin/needrestart
chmod 755 /usr/sbin/needrestart
rm -f /run/asked
"""


@pytest.fixture(scope="module")
def bare(lab_host) -> str:
    return str(lab_host("noble", "traps").name)


def sh(name: str, command: str, stdin: str = "") -> str:
    done = lab.ssh(name, command, stdin=stdin)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def install(name: str, package: str) -> subprocess.Popen[str]:
    """Install a package as the toolkit does, by what it sends."""
    words = ["ssh", "-F", str(lab.SSH_DIR / "config"), "-l", "root", name, f"sh -s -- {package}"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    assert process.stdin
    process.stdin.write(templates.render("packages/install.sh.j2"))
    process.stdin.close()
    return process


def test_cloud_init_is_done_before_anything_is_installed(bare: str) -> None:
    sh(bare, "dpkg --purge bc hello; rm -f /run/held; cat >/root/hold.pl", stdin=HOLD)
    sh(bare, "apt-get -qq update")
    sh(bare, CLOUD_FINAL)
    process = install(bare, "hello")
    assert process.stdout
    try:
        assert process.stdout.readline().startswith("waiting for cloud-init")
    finally:
        sh(bare, "rm -f /run/held")
    rest = process.stdout.read()
    assert process.wait() == 0, rest
    sh(bare, "dpkg -s bc hello >/dev/null && ! systemctl is-failed --quiet cloud-final")


@pytest.mark.parametrize("form", ["auto", "rootless"])
def test_an_engine_of_a_snap_is_left_alone(bare: str, form: str, deployment) -> None:
    sh(bare, SNAP)
    try:
        wanted = {"enabled": form == "rootless", "socket": form}
        said = deployment(lab.find(bare), sandbox=wanted).claw("up", "--dry", expect=1).output
        assert "is a snap" in said and "snap remove docker" in said
    finally:
        sh(bare, "rm -r /snap")
    sh(bare, "! command -v dockerd")


def test_needrestart_asks_nobody(bare: str) -> None:
    sh(bare, f"dpkg --purge hello bc >/dev/null; {ASKING}")
    try:
        process = install(bare, "hello")
        said = process.communicate()[0]
        assert process.returncode == 0, said
        sh(bare, "[ ! -e /run/asked ]")
        sh(bare, "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y bc")
        sh(bare, "[ -e /run/asked ]")  # as it does with anybody else
    finally:
        undo = "dpkg-divert --quiet --local --rename --remove /usr/sbin/needrestart"
        sh(bare, f"rm /usr/sbin/needrestart; {undo}")


def test_without_universe_there_is_no_engine(bare: str, deployment) -> None:
    sources = "/etc/apt/sources.list.d/ubuntu.sources"
    sh(bare, f"sed -i 's/^Components: .*/Components: main/' {sources}")
    try:
        said = deployment(lab.find(bare)).claw("up", "--dry", expect=1).output
        assert "no apt source of the host has universe" in said
        assert "add-apt-repository universe" in said
    finally:
        sh(bare, f"sed -i 's/^Components: .*/Components: main universe/' {sources}")


PORT = 8123
PUBLISHED = f"""
libraries=$(ldd /usr/bin/perl | grep -o '/[^ ]*' | sed 's#^/##')
tar -ch -C / usr/bin/perl usr/lib/x86_64-linux-gnu/perl-base $libraries |
  docker import - web >/dev/null
docker rm -f web 2>/dev/null
docker run -d --name web -p {PORT}:80 web /usr/bin/perl -MIO::Socket::INET -e '
  $s = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die $@;
  while ($c = $s->accept) {{ print $c "web"; close $c }}'
"""


def answers(host: lab.Host) -> bool:
    """Whether what is published is reached from here, and says something."""
    try:
        with socket.create_connection((host.ip, PORT), 2) as there:
            there.settimeout(2)
            return there.recv(3) == b"web"
    except OSError:
        return False


def test_what_an_engine_publishes_beside_an_active_ufw_is_closed(
    bare: str, deployment, tmp_path
) -> None:
    host = lab.find(bare)
    said = install(bare, "docker.io").communicate()[0]
    sh(bare, "ufw allow 22/tcp && ufw --force enable")
    job = Job(deployment(host), tmp_path)
    try:
        sh(bare, PUBLISHED)
        until(lambda: answers(host), 30, f"Docker gets around ufw\n{said}")
        job.up(firewall={"enabled": True})
        assert not answers(host) and job.gets_in()
        assert "nothing to change" in job.up(firewall={"enabled": True}).output
        job.up(firewall={"enabled": True, "allow": [PORT]})
        until(lambda: answers(host), 30, "it is let in on purpose")
        assert f"ufw allow {PORT}/tcp" in sh(bare, "ufw show added")
    finally:
        job.up()
        sh(bare, "ufw --force disable; docker rm -f web; apt-get purge -qq -y docker.io")


@pytest.fixture(scope="module")
def minimal(lab_host) -> lab.Host:
    """As a 26.04: sudo is sudo-rs, and there is no iptables."""
    host: lab.Host = lab_host("resolute", "traps")
    assert "sudo-rs" in lab.ssh(host.name, "sudo --version").stderr
    assert lab.ssh(host.name, "command -v iptables").returncode
    return host


def test_sudo_rs_makes_a_login_root(minimal: lab.Host, deployment) -> None:
    planned = (
        deployment(minimal, user="deploy").claw("up", "--dry", "--json", expect=2).json["plan"]
    )
    assert any(name.startswith("Engine | ") for name in planned[minimal.name])


def test_a_sudo_rs_that_wants_a_password_is_understood(minimal: lab.Host, deployment) -> None:
    """Debian's sudo-rs is older than the option by which a helper gives it one."""
    sh(minimal.name, PREPARE)
    said = deployment(minimal, user="asked").claw("up", "--dry", expect=1).output
    assert "sudo wants a password" in said
    given = deployment(minimal, user="asked", _sudo_password=PASSWORD)
    said = given.claw("up", "--dry", expect=1).output
    assert "takes no password from a helper (sudo-rs before 0.2.11)" in said
    assert PASSWORD not in said
