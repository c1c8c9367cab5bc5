"""A person with a bare machine, a clone, and whatever spelling of a host they are used to."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lab import hosts as lab
from tests.e2e.harness import Deployment, claw, lacking_set

pytestmark = pytest.mark.engine


@pytest.mark.whole
def test_a_bare_machine_provisions_itself(newcomer, deployed: Deployment):
    """git, python3 and root are all there is; then plain pyinfra agrees that nothing is left.

    How long a build takes is seen where `deployed` is made; here the engine has its images.
    """
    shell = newcomer(like=deployed.vps.name)
    assert shell("command -v docker pip3; python3 -c 'import ensurepip'").returncode != 0

    first = shell("./claw up -y")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "./claw token" in first.stdout
    ready = "curl -fsS -o /dev/null -w '%{http_code}' http://127.0.0.1:18789/readyz"
    assert shell(ready).stdout == "200"
    started = "docker inspect -f '{{.Id}} {{.State.StartedAt}}' $(docker ps -q)"
    was = shell(started).stdout

    again = shell("./claw up -y --json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["changed"] is False
    pyinfra = shell(".venv/bin/pyinfra inventories/local.py deploy.py --dry --json")
    assert pyinfra.returncode == 0, pyinfra.stdout + pyinfra.stderr
    plan = json.loads(pyinfra.stdout)["plan"]
    assert plan
    assert [op["name"] for op in plan if op["hosts_with_change"]] == []
    assert shell(started).stdout == was

    token = shell("./claw token").stdout.strip()
    assert shell("sed -n s/^OPENCLAW_GATEWAY_TOKEN=//p /opt/openclaw/.env").stdout.strip() == token
    assert shell("git status --porcelain").stdout == ""


SPELLINGS = ["root@{ip}", "root@{ip}:2222", "{name}", "via-a-jump-host", "deploy@{ip}"]


@pytest.fixture(scope="module")
def second_sshd(deployed: Deployment):
    """sshd on port 2222 too."""
    deployed.sh("systemd-run -q --unit=sshd-2222 /usr/sbin/sshd -D -p 2222")
    yield
    deployed.sh("systemctl stop sshd-2222")


@pytest.fixture
def home(deployed: Deployment, lab_host, tmp_path: Path) -> dict[str, str]:
    """A home directory with the ~/.ssh/config of somebody who has a jump host."""
    jump = lab_host("bookworm", "bare")
    ssh = tmp_path / ".ssh"
    ssh.mkdir(mode=0o700)
    names = f"""
Host *
  IdentityFile {lab.key()}
  UserKnownHostsFile {ssh}/known_hosts
  StrictHostKeyChecking accept-new
Host {deployed.vps.name}
  HostName {deployed.vps.ip}
  User root
Host jump
  HostName {jump.ip}
  User deploy
Host via-a-jump-host
  HostName {deployed.vps.ip}
  User root
  ProxyJump jump
"""
    (ssh / "config").write_text(names)
    # Whoever has used a jump host knows its key; the host behind it is new.
    known = (lab.SSH_DIR / "known_hosts").read_text().splitlines()
    jump_key = next(line for line in known if line.startswith(f"{jump.ip} "))
    (ssh / "known_hosts").write_text(f"{jump_key}\n")
    return {"HOME": str(tmp_path)}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_host_reaches_it(spelling, deployed: Deployment, second_sshd, home):
    host = deployed.vps
    target = spelling.format(ip=host.ip, name=host.name)
    found = claw("up", target, "--json", *lacking_set(host), env=home).json
    assert found["changed"] is False
    assert len(found["hosts"]) == 1
    assert claw("token", target, env=home).stdout.strip() == deployed.token()


def test_a_jump_host_whose_key_is_unknown_is_an_error_and_no_question(deployed, home):
    (Path(home["HOME"]) / ".ssh/known_hosts").write_text("")
    config = Path(home["HOME"]) / ".ssh/config"
    config.write_text(config.read_text().replace("StrictHostKeyChecking accept-new", ""))
    said = claw("up", "via-a-jump-host", env=home, expect=1).output
    assert "look at it first: ./claw trust jump" in said
    assert "[y/n]" not in said


@pytest.mark.whole
def test_two_hosts_by_address_are_one_fleet(
    deployed: Deployment, deployed_trixie: Deployment, home
):
    target = f"root@{deployed.vps.ip},deploy@{deployed_trixie.vps.ip}"
    found = claw("up", target, "--json", *lacking_set(deployed.vps), env=home).json
    assert found["changed"] is False
    assert set(found["hosts"]) == {deployed.vps.ip, deployed_trixie.vps.ip}


def test_the_launcher_works_from_elsewhere_and_through_a_link(tmp_path: Path, monkeypatch):
    link = tmp_path / "claw"
    link.symlink_to(Path(claw.__globals__["ROOT"], "claw"))
    monkeypatch.chdir(tmp_path)
    assert os.system(f"{link} --help >/dev/null") == 0
