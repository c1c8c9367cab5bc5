"""An image on one host is given to others in one run, by each way: what that takes.

The image is five trees of files of the lab's own hosts, so that it compresses as images do. Lab
hosts share the cores and the disk of one machine, which real hosts do not.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import tables
from bench.again import say
from bench.first import Cores
from lab import hosts as lab
from tests.e2e.fleet_job import Fleet, Machine, remote

LAYERS = 5
ENGINE = """
from pyinfra import config, host

from operations import packages
from operations.base import preflight, snapshot
from operations.engine import stage as engine

settings = preflight.run()
config.SUDO = snapshot.needs_sudo(host)
packages.install(settings=settings)
engine.install(settings=settings)
engine.configure(settings=settings)
"""
FILES = "tar -C / -c usr | docker import - bench-files"
LOCAL: dict[str, Any] = {"images": {"registry": {"local": True}}}


@dataclass(frozen=True)
class Way:
    """How it is given: the settings, and whether the giver has given nothing by it before."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    anew: bool = False


WAYS = (
    Way("stream"),
    Way("local registry, first time", LOCAL, anew=True),
    Way("local registry, layers kept", LOCAL),
)


@dataclass(frozen=True)
class Given:
    """A run: its seconds, those of the slowest receiver, and the CPU time of the machine."""

    whole: float
    slowest: float
    busy: float


Measured = dict[tuple[str, int], list[Given]]


def measure(sizes: Sequence[int], rounds: int, suite: str, directory: Path) -> Measured:
    """Make a giver and as many receivers as the largest of `sizes`, and give them the image.

    Raises:
        LabError: a run failed, or gave it another way.
    """
    names = [f"bench-{os.getpid()}-{number}" for number in range(max(sizes) + 1)]
    measured: Measured = {}
    try:
        machines = [remote(lab.up(name, suite, os.getpid()), "root") for name in names]
        fleet = Fleet(directory, "bench-giving", machines)
        ref = _made(fleet)
        for number in range(rounds):
            for size in sizes:
                for way in WAYS:
                    given = _give(fleet, ref, machines[: size + 1], way)
                    measured.setdefault((way.name, size), []).append(given)
                    say(f"round {number + 1}, {size} receivers, {way.name}", given.slowest)
    finally:
        lab.down(*names)
    return measured


def table(measured: Measured) -> str:
    """Ways down, receivers across; medians, and how many times faster than the stream."""
    sizes = sorted({size for _, size in measured})
    header = ["seconds until all have it"]
    header += [f"{size} receiver{'s' * (size > 1)}: slowest, whole run, CPU" for size in sizes]
    rows = []
    for name in dict.fromkeys(name for name, _ in measured):
        cells = []
        for size in sizes:
            slowest, whole, busy = (
                statistics.median(getattr(one, field) for one in measured[name, size])
                for field in ("slowest", "whole", "busy")
            )
            stream = statistics.median(one.slowest for one in measured[WAYS[0].name, size])
            faster = f"{stream / slowest:.2f} times as fast"
            cells.append(f"{slowest:.0f}, {whole:.0f}, {busy:.0f} ({faster})")
        rows.append([name, *cells])
    return tables.table(header, rows)


def _made(fleet: Fleet) -> str:
    """Install the engines, and build the image on the first host; return its commit."""
    images = (fleet.directory / "deploy.py").read_text()
    (fleet.directory / "deploy.py").write_text(ENGINE)
    _run(fleet, "main")
    (fleet.directory / "deploy.py").write_text(images)
    giver = fleet.machines[0]
    giver.sh(f"apt-get -qq install -y git >/dev/null; {FILES}")
    steps = "".join(f"COPY --from=bench-files /usr /{layer}\\n" for layer in range(LAYERS))
    ref = fleet.commit(giver, "bench", step=steps)
    whole, fleet.machines = fleet.machines, [giver]
    _run(fleet, ref)
    fleet.machines = whole
    said = giver.sh(f"docker image inspect -f '{{{{.Size}}}}' {fleet.tag}")
    say(f"the image has {int(said) / 1e6:.0f} MB", 0)
    return ref


def _give(fleet: Fleet, ref: str, machines: list[Machine], way: Way) -> Given:
    giver, *receivers = fleet.machines = machines
    if way.anew:
        giver.sh(f"rm -rf /opt/{fleet.name}/images/registry*")
    for machine in receivers:
        machine.sh(f"docker image rm -f {fleet.tag}; docker image prune -f >/dev/null", None)
    started = time.monotonic()
    with Cores() as cores:
        said = _run(fleet, ref, **way.settings)
    whole = time.monotonic() - started
    by = "layers from" if way.name == "stream" else "pulled from"
    seconds = re.findall(rf"gateway image: .*{by} .* in (\d+) s", said)
    if len(seconds) != len(receivers):
        raise lab.LabError(f"{way.name}: it was given another way: {said[-3000:]}")
    return Given(whole, max(map(float, seconds)), cores.busy)


def _run(fleet: Fleet, ref: str, **settings: Any) -> str:
    done = fleet.run(ref=ref, **settings)
    for machine in fleet.machines:
        if failed := done.failed(machine.name):
            raise lab.LabError(f"{machine.name}: {failed}")
    return done.said
