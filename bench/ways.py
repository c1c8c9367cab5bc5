"""The ways to see that nothing has to change: this toolkit, two others, and the floor."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.doors import Door
from lab import hosts as lab
from tests.e2e.harness import ROOT, Result, claw

ANSIBLE = "2.18.19"
"""Faster than 2.19, which takes 1.5 times the CPU time on the control machine for this playbook."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openclaw-pyinfra-bench"
SAME = Path(__file__).resolve().parent / "same"
OURS, PYINFRA, ANSIBLE_WAY, FLOOR = "this toolkit", "plain pyinfra", "Ansible", "floor"


class NotConverged(RuntimeError):
    """A run that was to change nothing did, or failed; its output is the message."""


@dataclass
class Fleet:
    """Addresses that a run is to look at, and where its inventories are written."""

    doors: Sequence[Door]
    directory: Path
    known_hosts: Path
    resources: Path
    script: str = ""
    """What the floor runs on each host."""
    phases: list[dict[str, float]] = field(default_factory=list)
    """Of the toolkit's runs: the phases of each, and `whole`, with what is around them."""

    def ours(self) -> float:
        """`./claw up`, the whole deploy of the repository."""
        result = self.claw("up", "--json")
        if result.returncode:
            raise NotConverged(result.output[-4000:])
        document = result.json
        changed = [name for name, one in document["hosts"].items() if one["state"] != "unchanged"]
        if changed or len(document["hosts"]) != len(self.doors):
            raise NotConverged(f"./claw up changed {changed}: {result.output[-3000:]}")
        self.phases.append({**document["phases"], "whole": result.seconds})
        return result.seconds

    def claw(self, verb: str, *arguments: str) -> Result:
        """`./claw VERB` of all hosts, whatever comes of it."""
        state = {"XDG_STATE_HOME": str(self.directory / "state")}
        return claw(verb, str(self.written()), *arguments, expect=None, env=state)

    def pyinfra(self) -> float:
        """`pyinfra`, the release that the toolkit is locked to, with its own operations."""
        command = [str(ROOT / ".venv/bin/pyinfra"), "-y", str(self.written())]
        environment = {"BENCH_RESOURCES": str(self.resources), "PYINFRA_PROGRESS": "off"}
        seconds, said = _timed([*command, str(SAME / "deploy.py")], environment)
        total = re.search(r"Grand total\s+(\d+)\s+-\s+-\s+(\d+)", said)
        if not total or total[1] != total[2]:
            raise NotConverged(said[-4000:])
        return seconds

    def ansible(self) -> float:
        """`ansible-playbook` with what makes it fast; every run opens its own connections."""
        inventory = self.directory / "ansible.ini"
        login = f"ansible_user=root ansible_ssh_private_key_file={lab.key()}"
        inventory.write_text(
            "".join(
                f"{door.name} ansible_host={door.address} ansible_port={door.port} {login}\n"
                for door in self.doors
            )
        )
        with tempfile.TemporaryDirectory(prefix="ab", dir="/tmp") as sockets:
            options = " ".join(self._ssh_options())
            environment = {
                "ANSIBLE_CONFIG": str(SAME / "ansible.cfg"),
                "ANSIBLE_SSH_ARGS": f"-o ControlMaster=auto -o ControlPersist=60s {options}",
                "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets,
                "ANSIBLE_HOME": str(CACHE / "home"),
            }
            command = [str(ansible() / "bin/ansible-playbook"), "-i", str(inventory)]
            command += ["--forks", str(len(self.doors)), "-e", f"@{self.resources}"]
            seconds, said = _timed([*command, str(SAME / "playbook.yml")], environment)
            for one in Path(sockets).iterdir():
                leave = ["ssh", "-o", f"ControlPath={one}", "-O", "exit", "bench"]
                subprocess.run(leave, capture_output=True)
        recap = re.findall(r"ok=(\d+)\s+changed=0\s+unreachable=0\s+failed=0", said)
        if len(recap) != len(self.doors):
            raise NotConverged(said[-4000:])
        return seconds

    def floor(self) -> float:
        """One `ssh` for each host, all at once, with one script that reads the same state."""
        ssh = ["ssh", *self._ssh_options(), "-o", "ControlMaster=no"]
        ssh += ["-i", str(lab.key()), "-l", "root"]
        with contextlib.ExitStack() as stack:
            answers = [stack.enter_context(tempfile.TemporaryFile()) for _ in self.doors]
            start = time.monotonic()
            running = [
                subprocess.Popen(
                    [*ssh, "-p", str(door.port), door.address, self.script],
                    stdin=subprocess.DEVNULL,
                    stdout=answer,
                    stderr=subprocess.DEVNULL,
                )
                for door, answer in zip(self.doors, answers, strict=True)
            ]
            codes = [one.wait() for one in running]
            seconds = time.monotonic() - start
            if any(codes) or not all(answer.tell() for answer in answers):
                raise NotConverged(f"the floor's ssh: {codes}")
        return seconds

    def run(self, way: str) -> float:
        """Run one way, and return the seconds of the whole command."""
        ways = {OURS: self.ours, PYINFRA: self.pyinfra, ANSIBLE_WAY: self.ansible}
        return {**ways, FLOOR: self.floor}[way]()

    def written(self) -> Path:
        """Write the inventory of the hosts, and return its path."""
        hosts = [(door.name, self._connection(door)) for door in self.doors]
        path = self.directory / "fleet.py"
        path.write_text(f"hosts = {hosts!r}\n")
        return path

    def _connection(self, door: Door) -> dict[str, Any]:
        own = {"ssh_port": door.port, "ssh_known_hosts_file": str(self.known_hosts)}
        return lab.connection(door.address) | own

    def _ssh_options(self) -> list[str]:
        options = [f"UserKnownHostsFile={self.known_hosts}", "StrictHostKeyChecking=yes"]
        options += ["IdentitiesOnly=yes"]
        return ["-F", os.devnull, *(word for option in options for word in ("-o", option))]


def ansible() -> Path:
    """Return the virtual environment with ansible-core, made at first use."""
    place = CACHE / f"ansible-core-{ANSIBLE}"
    if not (place / "done").exists():
        subprocess.run(["python3", "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(place / "bin/pip"), "install", "--quiet", f"ansible-core=={ANSIBLE}"]
        subprocess.run(pip, check=True, stdout=subprocess.DEVNULL)
        (place / "done").touch()
    return place


def floor_script(commands: Sequence[str]) -> str:
    """Return one script that does what all the commands of a run do, all at once."""
    return "\n".join([*(f"(\n{command}\n) &" for command in commands), "wait"])


def _timed(command: list[str], environment: Mapping[str, str]) -> tuple[float, str]:
    start = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seconds = time.monotonic() - start
    if done.returncode:
        raise NotConverged(f"{command[0]}: {done.returncode}\n{done.stdout[-4000:]}")
    return seconds, done.stdout
