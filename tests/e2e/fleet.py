"""A fleet in the tests: names of one lab host, which answers at a port for each of them.

Each has a deployment (and so a deploy lock) of its own. What is deployed is a file, so no engine is
needed there.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import hosts as lab
from tests.e2e.harness import Process, Result, claw, merged, start_claw, until

DEPLOY = """
from pyinfra import config, host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations.base import preflight, snapshot
from operations.base.operation import operation
from tests.e2e import fleet_checks, made  # noqa: F401

Job = made.fact("{directory}/{{name}}")
settings = preflight.run()
config.SUDO = snapshot.needs_sudo(host)


@operation
def make(file, command):
    if file in snapshot.of(Job):
        host.noop("it is there")
    else:
        there = f"{directory}/{{settings.name}}"
        begin = f"mkdir -p {{there}} && echo begin {{host.name}} >>{directory}/log"
        end = f"echo end {{host.name}} >>{directory}/log && touch {{there}}/{{file}}"
        yield StringCommand(f"{{begin}} && {{command}} && {{end}}")


@deploy("Job")
def job():
    make(name="Make the file", file={file!r}, command={commands!r}.get(host.name, "true"))


job()
"""
PORTS = range(2301, 2309)
FOREVER = "while :; do sleep 0.1; done"


@dataclass
class Fleet:
    """Some names of one lab host, and what their deploy does."""

    host: lab.Host
    folder: Path
    hosts: dict[str, dict[str, Any]]
    commands: dict[str, str] = field(default_factory=dict)
    rollout: str = "{}"
    version: int = 1
    id: str = field(default_factory=lambda: secrets.token_hex(3))

    @property
    def inventory(self) -> Path:
        return self.folder / "fleet.py"

    @property
    def directory(self) -> str:
        return f"/srv/{self.id}"

    def arguments(self, *more: str) -> tuple[str, ...]:
        common = lab.connection(self.host.ip) | {"ssh_known_hosts_file": str(self.known_hosts())}
        hosts = []
        for port, (name, data) in zip(PORTS, self.hosts.items(), strict=False):
            own = {"name": f"{name}-{self.id}", "ssh_port": port}
            hosts.append((name, merged({**common, **own}, data)))
        self.inventory.write_text(f"hosts = {hosts!r}\nrollout = {self.rollout}\n")
        deploy = self.folder / "deploy.py"
        deploy.write_text(
            DEPLOY.format(
                directory=self.directory,
                file=f"file{self.version}",
                commands=self.commands,
            )
        )
        return ("up", str(self.inventory), "--deploy", str(deploy), *more)

    def known_hosts(self) -> Path:
        """The lab host's key, for each of its ports."""
        ways = [(self.host.ip, port) for port in PORTS]
        return lab.known_hosts(self.host.ip, ways, self.folder / "known_hosts")

    @property
    def environment(self) -> dict[str, str]:
        return {"XDG_STATE_HOME": str(self.folder / "state")}

    def run(self, *more: str, expect: int = 0) -> Result:
        arguments = self.arguments(*more)
        return claw(*arguments, expect=expect, timeout=180, env=self.environment)

    def start(self, *more: str) -> Process:
        return start_claw(*self.arguments(*more), env=self.environment)

    def await_log(self, run: Process, *lines: str) -> None:
        """Until what the operations say is in the host's log; an error if the run ends first."""

        def there() -> bool:
            ended = run.popen.poll() is not None
            if set(lines) <= set(self.log()):
                return True
            assert not ended, f"it ended first:\n{run.output()[-3000:]}"
            return False

        until(there, 90, f"{lines} in the log")

    def states(self, result: Result) -> dict[str, str]:
        return {name: host["state"] for name, host in result.json["hosts"].items()}

    def sh(self, command: str) -> str:
        done = lab.ssh(self.host.name, command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def log(self) -> list[str]:
        return self.sh(f"cat {self.directory}/log 2>/dev/null || true").splitlines()

    def commands_left(self) -> list[str]:
        """What still runs there of this fleet's operations."""
        return [
            line for line in self.sh("ps -ewwo args").splitlines() if f"{self.directory}/" in line
        ]

    def forget_log(self) -> None:
        self.sh(f"rm -f {self.directory}/log")

    def locks(self) -> str:
        return self.sh(f"cat /run/openclaw-pyinfra/*-{self.id}.lock 2>/dev/null || true")
