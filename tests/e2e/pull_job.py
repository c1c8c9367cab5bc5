"""A fleet that pulls: its git server, its operator with a key, and a deploy of one file."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from lab import hosts as lab
from tests.e2e.harness import ROOT, Result, claw

CHANGED = "/etc/of-the-fleet"
DEPLOY = f"""
from pyinfra import config, host

from operations.base import files, preflight, snapshot
from operations.images import listing


@files.managed_paths
def paths(settings):
    return ["{CHANGED}"]


settings = preflight.run([])
config.SUDO = snapshot.needs_sudo(host)
file = files.File("{CHANGED}", settings.time_zone + "\\n")
files.write(name="Write the file of the fleet", files=[file])
"""
BAD = """
from pyinfra.operations import server

server.shell(name="Break", commands=["exit 7"])
"""
INVENTORY = "inventories/fleet.yml"


class Fleet:
    """Hosts `claw0`, `claw1`, ... that follow `main` of a repository on a host of its own.

    The repository has this checkout; with a `deploy` another deploy file in place of its own.
    """

    def __init__(
        self,
        directory: Path,
        server: lab.Host,
        hosts: list[lab.Host],
        deploy: str | None = DEPLOY,
        **settings: Any,
    ) -> None:
        self.directory, self.server, self.deploy = directory, server, deploy
        self.hosts = {f"claw{number}": host for number, host in enumerate(hosts)}
        self.settings = {"pull": {"schedule": "*:*:0/30", "delay": 0, "soak": 0}} | settings
        self.rings: dict[str, int] = {}
        self.inventory = directory / "inventory.yml"
        self.work, self.known_hosts = directory / "work", lab.SSH_DIR / "known_hosts"
        for name in ("operator", "stranger"):
            key = directory / name
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
            public = (directory / f"{name}.pub").read_text()
            (directory / f"{name}.signers").write_text(f"{name}@example.org {public}")
        self.path = f"/srv/{secrets.token_hex(3)}.git"
        assert not lab.ssh(server.name, f"git init -q --bare -b main {self.path}").returncode
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for path in subprocess.check_output(listed, cwd=ROOT).decode().split("\0"):
            if path and (ROOT / path).is_file() and not path.startswith(("tests/", "docs/")):
                (self.work / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, self.work / path)
        self.git("init", "-q", "-b", "main")

    @property
    def url(self) -> str:
        return f"ssh://root@{self.server.ip}{self.path}"

    def git(self, *words: str, key: str = "operator") -> str:
        ssh = f"ssh -F {lab.SSH_DIR}/config"
        own = ["user.name=o", "user.email=o@example.org", "gpg.format=ssh"]
        own += [f"user.signingKey={self.directory / key}"]
        options = [word for one in own for word in ("-c", one)]
        done = subprocess.run(
            ["git", "-C", str(self.work), *options, *words],
            env={**os.environ, "GIT_SSH_COMMAND": ssh},
            capture_output=True,
            text=True,
        )
        assert not done.returncode, done.stderr
        return done.stdout.strip()

    def push(self, zone: str, deploy: str = "", key: str = "operator") -> str:
        """Push a commit signed by that key, with which the hosts have that time zone."""
        hosts = {
            name: {"pull": {"ring": self.rings[name]}} if name in self.rings else {}
            for name in self.hosts
        }
        said = {"all": {"time_zone": zone, **self.settings}, "hosts": hosts}
        (self.work / INVENTORY).write_text(yaml.safe_dump(said))
        if self.deploy:
            (self.work / "deploy.py").write_text(self.deploy + deploy)
        self.git("add", "-A")
        self.git("commit", "-q", "-S", "-m", zone, key=key)
        self.git("push", "-q", "--force", self.url, "HEAD:refs/heads/main")
        return self.git("rev-parse", "HEAD")

    def enroll(self, *words: str, expect: int = 0) -> Result:
        """Run `./claw enroll` for the hosts as this machine reaches them."""
        hosts = {
            name: {**lab.connection(host.ip), "pull": {"ring": self.rings.get(name)}}
            for name, host in self.hosts.items()
        }
        for one in hosts.values():
            one |= {key: str(value) for key, value in one.items() if isinstance(value, Path)}
        self.inventory.write_text(yaml.safe_dump({"all": self.settings, "hosts": hosts}))
        return claw("enroll", str(self.inventory), "-y", *words, expect=expect)

    def given(self, ref: str = "main", signers: str = "operator") -> list[str]:
        words = ["--from", self.url, "--ref", ref, "--inventory", INVENTORY]
        words += ["--signers", str(self.directory / f"{signers}.signers")]
        words += ["--deploy-key", str(lab.key())]
        return [*words, "--known-hosts", str(self.known_hosts)]

    def sh(self, name: str, command: str) -> str:
        return lab.ssh(self.hosts[name].name, command).stdout.strip()

    def result(self, name: str) -> dict[str, str]:
        """What the last run of a host said."""
        said = self.sh(name, "cat /var/lib/openclaw-pyinfra/openclaw.pull/result")
        return dict(line.split("=", 1) for line in said.splitlines())

    def healthy_since(self, name: str) -> int:
        """When a host began to report the commit that it has as healthy."""
        report = f"refs/openclaw-pull/{self.rings[name]}/{name}"
        shown = f"git -C {self.path} log -1 --format=%s {report}"
        return int(lab.ssh(self.server.name, shown).stdout.split()[2])

    def left(self, name: str) -> str:
        """What there is of pull mode on a host."""
        units = "systemctl list-unit-files 'openclaw-pull*' --no-legend"
        return self.sh(name, f"ls -d /var/lib/openclaw-pyinfra/openclaw.pull; {units}")
