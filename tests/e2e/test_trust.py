"""Host keys are checked strictly; `./claw trust` shows them before it writes them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from lab import hosts as lab
from tests.e2e.harness import claw, lacking_set

pytestmark = pytest.mark.engine


@pytest.fixture
def host(lab_host) -> lab.Host:
    return lab_host("bookworm", "bare")


@pytest.fixture
def env(host: lab.Host, tmp_path: Path) -> dict[str, str]:
    """A home whose ~/.ssh has a key, a jump host, and no known hosts."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    (tmp_path / ".ssh/config").write_text(
        f"Host *\n  IdentityFile {lab.key()}\n"
        f"Host jump\n  HostName {host.ip}\n  User deploy\n"
        f"Host behind\n  HostName localhost\n  User root\n  ProxyJump jump\n"
    )
    return {"HOME": str(tmp_path)}


def known_hosts(env: dict[str, str]) -> Path:
    return Path(env["HOME"], ".ssh/known_hosts")


def fingerprint_on(host: lab.Host) -> str:
    """What the host says of itself."""
    line = lab.ssh(host.name, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").stdout
    return line.split()[1]


def test_a_new_host_is_refused_until_its_key_is_accepted(host: lab.Host, env):
    target = f"root@{host.ip}"
    refused = claw("up", target, "--dry", *lacking_set(host), env=env, expect=1).output
    assert f"./claw trust {target}" in refused
    assert known_hosts(env).read_text() == ""

    shown = claw("trust", target, env=env, expect=1)
    assert fingerprint_on(host) in shown.stdout
    assert "--fingerprint" in shown.stderr  # nobody is there to ask
    claw("trust", target, "--fingerprint", "SHA256:another", env=env, expect=1)
    assert known_hosts(env).read_text() == ""

    claw("trust", target, "--fingerprint", fingerprint_on(host), env=env)
    assert len(known_hosts(env).read_text().splitlines()) == 1  # the others were not compared
    claw("up", target, "--dry", *lacking_set(host), env=env, expect=2)
    before = known_hosts(env).read_text()
    assert "is known" in claw("trust", target, "-y", env=env).stdout
    assert known_hosts(env).read_text() == before


def test_a_changed_key_is_replaced_only_by_name(host: lab.Host, env, tmp_path: Path):
    target = f"root@{host.ip}"
    another = tmp_path / "another"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", another], check=True)
    stale = f"{host.ip} {another.with_suffix('.pub').read_text()}"
    known_hosts(env).write_text(stale)
    said = claw("up", target, "--dry", *lacking_set(host), env=env, expect=1).output
    assert "CHANGED" in said
    assert re.search(rf"\./claw trust {re.escape(target)}( --set \S+)? --replace", said), said

    refused = claw("trust", target, "-y", env=env, expect=1)
    assert "CHANGED" in refused.stderr and "--replace" in refused.stderr
    assert fingerprint_on(host) in refused.stdout
    claw("trust", target, "-y", "--fingerprint", fingerprint_on(host), env=env, expect=1)
    assert known_hosts(env).read_text() == stale

    claw("trust", target, "--replace", "-y", env=env)
    assert stale.split()[2] not in known_hosts(env).read_text()
    claw("status", target, "--json", env=env, expect=None)
    claw("up", target, "--dry", *lacking_set(host), env=env, expect=2)


def test_a_host_behind_a_jump_host(host: lab.Host, env):
    """Also: keys per host and users of ~/.ssh/config."""
    assert "./claw trust jump" in claw("trust", "behind", "-y", env=env, expect=1).output
    claw("trust", "jump", "-y", env=env)
    assert "localhost" not in known_hosts(env).read_text()
    claw("trust", "behind", "-y", env=env)
    assert "localhost ssh-ed25519" in known_hosts(env).read_text()
    claw("up", "behind", "--dry", *lacking_set(host), env=env, expect=2)


def test_keys_of_an_agent(host: lab.Host, env):
    claw("trust", f"root@{host.ip}", "-y", env=env)
    Path(env["HOME"], ".ssh/config").unlink()
    claw("up", f"root@{host.ip}", "--dry", *lacking_set(host), env=env, expect=1)
    started = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    words = dict(part.split("=") for part in started.replace(";", "").split() if "=" in part)
    agent = {"SSH_AUTH_SOCK": words["SSH_AUTH_SOCK"], "SSH_AGENT_PID": words["SSH_AGENT_PID"]}
    try:
        subprocess.run(["ssh-add", "-q", lab.key()], env={**agent, "PATH": "/usr/bin"}, check=True)
        claw("up", f"root@{host.ip}", "--dry", *lacking_set(host), env={**env, **agent}, expect=2)
    finally:
        subprocess.run(["ssh-agent", "-k"], env=agent | {"PATH": "/usr/bin"}, check=True)
