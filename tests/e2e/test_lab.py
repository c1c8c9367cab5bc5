"""A lab host is what the other tests take it for: a bare VPS."""

from urllib.parse import urlsplit

import pytest

from lab import hosts as lab
from lab import seed
from lab.stand_ins import debian

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("suite", ["bookworm", pytest.param("trixie", marks=pytest.mark.whole)])
def test_a_host_is_a_bare_vps(lab_host, suite):
    host = lab_host(suite, "bare")

    def said(command: str, user: str = "root") -> str:
        return lab.ssh(host.name, command, user).stdout.strip()

    assert said(". /etc/os-release; echo $VERSION_CODENAME") == host.suite
    assert said("cat /proc/1/comm; systemctl is-system-running").split() == ["systemd", "running"]
    assert said("command -v docker dockerd containerd node npm pip3") == ""
    assert said("sudo -n id -u", "deploy") == "0"
    assert lab.ssh(host.name, "sudo -n true", "nosudo").returncode != 0


def test_a_host_reaches_the_mirror_and_trusts_the_machines_cas(lab_host):
    host = lab_host("bookworm", "bare")
    update = lab.ssh(host.name, "apt-get -qq update")
    assert (update.returncode, update.stderr) == (0, "")
    mirror = urlsplit(seed.debian_mirrors(debian(host.suite))[0]).hostname
    assert lab.ssh(host.name, f"curl -fsS -o /dev/null https://{mirror}/").returncode == 0


def test_a_host_is_made_again_from_nothing(fresh_host):
    host = fresh_host("bookworm")
    lab.ssh(host.name, "touch /root/trace")
    again = lab.reset(host.name)
    assert lab.ssh(again.name, "ls /root/trace").returncode != 0
