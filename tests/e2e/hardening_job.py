"""A deploy of nothing but the host itself, and two ways in which it goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab import hosts as lab
from tests.e2e.harness import Deployment, Process, Result

DEPLOY = """
from pyinfra import config, host

from operations import packages
from operations.base import preflight, snapshot
from operations.hardening import stage as hardening
{more}
settings = preflight.run()
config.SUDO = snapshot.needs_sudo(host)
packages.install(settings)
hardening.harden(settings)
"""
# The host says that the run came in by another port than it did.
LOCKS_OUT = """
from dataclasses import replace
from operations.hardening import firewall
said = firewall.Firewall.parse
firewall.Firewall.parse = classmethod(lambda cls, lines: replace(said(lines), ssh=(2,)))
"""
# The configuration is one that lets nobody log in.
NOBODY = """
from dataclasses import replace
from operations.hardening import sshd
wanted = sshd.configuration
sshd.configuration = lambda settings: replace(
    wanted(settings), content=wanted(settings).content + "AllowUsers nobody-at-all\\n"
)
"""
# The machine that is to confirm is busy with something else.
HANGS = """
from operations.base import connection
from toolkit import greenlets
connection.anew = lambda host, seconds: greenlets.sleep(3600)
"""


class Job:
    """`./claw up` with `host:` alone, on one host."""

    def __init__(self, deployment: Deployment, directory: Path) -> None:
        self.deployment, self.directory = deployment, directory

    def _words(self, more: str) -> tuple[str, ...]:
        file = self.directory / "deploy.py"
        file.write_text(DEPLOY.format(more=more))
        return ("--deploy", str(file), "-y")

    def up(self, more: str = "", expect: int = 0, **host: Any) -> Result:
        words = self._words(more)
        return self.deployment.claw("up", *words, settings={"host": host}, expect=expect)

    def start(self, more: str, **host: Any) -> Process:
        return self.deployment.start("up", *self._words(more), settings={"host": host})

    def gets_in(self) -> bool:
        """Whether a new connection over SSH does."""
        return lab.ssh(self.deployment.vps.name, "true").returncode == 0

    def sh(self, command: str) -> str:
        return self.deployment.sh(command).strip()
