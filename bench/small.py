#!/usr/bin/env python3
"""A first deploy on a small VPS: whether it works there, and what it needs of memory and disk.

    .venv/bin/python bench/small.py [--only 0]

Makes one bare lab host after the other, limited to the cores and the memory of a small VPS, without
swap, and deploys it: the gateway's image is built there, and on another host of that shape comes
from a registry, Debian's on this machine (`gateway.source: image`). Memory is what the host's
processes have and the kernel cannot take back (usage without inactive pages of files; memory.stat
of cgroup v1), disk what the engine has stored and what was written beside it, both at their most;
looked at twice a second. /proc/meminfo has the host's memory there, for the preflight.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.cost import group
from bench.sampling import sampled
from bench.tables import table
from lab import disks
from lab import hosts as lab
from lab.client import container
from lab.engine import Engine
from tests.e2e.harness import claw
from tests.e2e.images_job import Registry

GIB = 1 << 30
MEMINFO = """
sed -e 's/^Swap\\([^:]*\\).*/Swap\\1: 0 kB/' \\
  -e 's/^Mem\\(Total\\|Available\\):.*/Mem\\1: {kib} kB/' \\
  /proc/meminfo >/run/meminfo && mount --bind /run/meminfo /proc/meminfo
"""


@dataclass(frozen=True)
class Shape:
    """A VPS: cores, memory in bytes, and the settings with which the preflight takes it."""

    cores: int
    memory: int
    settings: dict[str, Any]

    def __str__(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"{cores}, {self.memory // GIB} GiB"


SHAPES = (Shape(2, 2 * GIB, {"gateway": {"memory": "2g"}}), Shape(1, 4 * GIB, {}))


@dataclass
class Most:
    """The most that a host had of memory and of disk for a while, in bytes, and how many processes
    the kernel has ended there for want of memory."""

    memory: int = 0
    stored: int = 0
    killed: int = 0


@contextmanager
def watched(host: lab.Host) -> Iterator[Most]:
    """Give the most that a host has while the body runs, once it has."""
    most, place = Most(), group(host, "memory")

    def look() -> None:
        used = int((place / "memory.usage_in_bytes").read_text())
        stat = (place / "memory.stat").read_text().split()
        spare = int(stat[stat.index("total_inactive_file") + 1])
        most.memory = max(most.memory, used - spare)
        most.stored = max(most.stored, disks.used(host.name))

    with sampled(look, 0.5):
        yield most
    control = (place / "memory.oom_control").read_text().split()
    most.killed = int(control[control.index("oom_kill") + 1])


def beside(host: lab.Host) -> int:
    """How many bytes are on a host beside what its engine has stored."""
    return int(lab.ssh(host.name, "du -sxB1 / 2>/dev/null | cut -f1").stdout)


def pushed(host: lab.Host, registry: Registry) -> dict[str, Any]:
    """Put the gateway's image of a host into the registry; the settings that take it from there."""
    command = [*shlex.split(lab.shell_command(host.name)), "docker save openclaw:local"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as saved:
        assert saved.stdout
        lab.client().images.load(saved.stdout)
    registry.push("openclaw:local", "openclaw:1")
    lab.client().images.remove("openclaw:local")
    return {"gateway": {"source": "image", "image": f"{registry.address}/openclaw:1"}}


@contextmanager
def reaching(host: lab.Host, registry: Registry) -> Iterator[None]:
    """Let a host have the registry on its own loopback, where engines take plain HTTP."""
    forward = f"{registry.address.rpartition(':')[2]}:{registry.address}"
    command = [*shlex.split(lab.shell_command(host.name)), "-N", "-R", forward]
    tunnel = subprocess.Popen(command)
    try:
        yield
    finally:
        tunnel.terminate()
        tunnel.wait(30)


def deploy(
    shape: Shape,
    settings: dict[str, Any],
    directory: Path,
    registry: Registry,
) -> tuple[list[str], dict[str, Any]]:
    """Deploy a bare host of that shape, and remove it; its row of the table, and the settings with
    which another has its image from the registry."""
    name = f"small-{os.getpid()}-{shape.cores}"
    host = lab.up(name, owner=os.getpid())
    try:
        machine = container(host.container)
        cores = ",".join(map(str, range(shape.cores)))
        machine.update(mem_limit=shape.memory, memswap_limit=shape.memory, cpuset_cpus=cores)
        done = lab.ssh(name, MEMINFO.format(kib=shape.memory >> 10))
        assert done.returncode == 0, done.stderr
        given = lab.connection(host.ip) | shape.settings
        for key, value in settings.items():
            given[key] = {**given.get(key, {}), **value}
        inventory = directory / f"{name}.py"
        inventory.write_text(f"hosts = {[(name, given)]!r}\n")
        before = beside(host)
        with reaching(host, registry), watched(host) as most:
            result = claw("up", str(inventory), "--json", expect=None, timeout=3600)
        if result.returncode:
            print(result.output[-3000:], file=sys.stderr)
        row = [
            str(shape),
            settings.get("gateway", {}).get("source", "npm"),
            "ready" if result.returncode == 0 else f"exit code {result.returncode}",
            f"{result.seconds:.0f}",
            f"{most.memory / GIB:.2f}",
            str(most.killed),
            f"{(most.stored + beside(host) - before) / GIB:.1f}",
        ]
        return row, {} if settings or result.returncode else pushed(host, registry)
    finally:
        lab.down(name)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", type=int, choices=range(len(SHAPES)))
    options = parser.parse_args()
    engine = Engine()
    shapes = SHAPES if options.only is None else (SHAPES[options.only],)
    rows = []
    try:
        with tempfile.TemporaryDirectory() as temporary:
            directory = Path(temporary)
            registry = Registry(directory / "registry")
            try:
                for shape in shapes:
                    row, image = deploy(shape, {}, directory, registry)
                    rows.append(row)
                    if image:
                        rows.append(deploy(shape, image, directory, registry)[0])
            finally:
                registry.remove()
    finally:
        engine.close()
    header = [
        "VPS",
        "gateway.source",
        "it is",
        "first deploy, s",
        "memory, GiB",
        "killed for memory",
        "disk, GiB",
    ]
    print(table(header, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
