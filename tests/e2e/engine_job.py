"""A deploy of nothing but the engine, and a container without a registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.harness import Deployment, Result

DEPLOY = """
from pyinfra import config, host

from operations.engine import stage as engine
from operations import packages
from operations.base import preflight, snapshot

settings = preflight.run()
config.SUDO = snapshot.needs_sudo(host)
packages.install(settings)
engine.install(settings)
engine.configure(settings)
"""
TINY = """
tar -chf - -C / bin/sleep lib64/ld-linux-x86-64.so.2 lib/x86_64-linux-gnu/libc.so.6 |
  docker import - tiny >/dev/null
docker volume create kept >/dev/null
docker run -d --restart always --name sleeper -v kept:/kept tiny /bin/sleep 100000 >/dev/null
"""


class Job:
    """`./claw up` with the engine's stages alone, on one host."""

    def __init__(self, deployment: Deployment, directory: Path) -> None:
        self.deployment = deployment
        self.file = directory / "deploy.py"
        self.file.write_text(DEPLOY)

    def up(self, *args: str, expect: int = 0, **engine: Any) -> Result:
        words = ("--deploy", str(self.file), "-y", *args)
        return self.deployment.claw("up", *words, settings={"engine": engine}, expect=expect)

    def installed(self) -> set[str]:
        query = "dpkg-query -W -f '${db:Status-Abbrev}${Package}\\n' | sed -n 's/^ii //p'"
        return set(self.sh(query).split())

    def sh(self, command: str) -> str:
        return self.deployment.sh(command).strip()

    def daemon(self) -> str:
        """The process id of dockerd."""
        return self.sh("cat /var/run/docker.pid")

    def sleeper(self) -> str:
        """Identity of the container that TINY makes; another one when it was started again."""
        return self.sh("docker inspect sleeper -f '{{.Id}} {{.State.Pid}} {{.State.StartedAt}}'")

    @contextmanager
    def untouched(self) -> Iterator[None]:
        before = self.deployment.fingerprint()
        yield
        assert self.deployment.fingerprint() ^ before == set()
