"""An image on one host is given to others in one run, by each way: what that takes.

The image is two trees of files of the lab's own hosts, so that it compresses as images do. Lab
hosts share the cores and the disk of one machine, which real hosts do not.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from bench import tables
from bench.again import say
from bench.first import watched_cores
from lab import hosts as lab
from tests.e2e.fleet_job import Fleet, Machine, remote
from tests.e2e.images_job import Registry
from toolkit import lockfile

LAYERS = 2
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


@dataclass(frozen=True)
class Way:
    """How it is given: by a registry of the user's or not, and whether that has it already."""

    name: str
    registry: bool = False
    there: bool = False


WAYS = (
    Way("stream"),
    Way("registry, pushed before it is pulled", registry=True),
    Way("registry that has it", registry=True, there=True),
)


@dataclass(frozen=True)
class Given:
    """A run: its seconds, those of the slowest receiver, and the CPU time of the machine."""

    whole: float
    slowest: float
    busy: float


Measured = dict[tuple[str, int], list[Given]]


def measure(
    measured: Measured, sizes: Sequence[int], rounds: int, suite: str, directory: Path
) -> None:
    """Fill `measured`: a host with the image gives it to 1 or more others.

    Raises:
        LabError: a run failed, or gave it another way.
    """
    owner, names = os.getpid(), [f"bench-{os.getpid()}-{number}" for number in range(99)]
    registry = None
    try:
        machines = [remote(lab.up(names[0], suite, owner), "root")]
        registry = Registry(directory / "registry", host=str(ip_network(lab.SUBNET)[1]))
        fleet = Fleet(directory, "bench-giving", machines)
        ref = _made(fleet, registry)
        for size in sorted(sizes):
            for name in names[len(machines) : size + 1]:
                machines.append(remote(lab.up(name, suite, owner), "root"))
            _with_engines(fleet, registry, machines[: size + 1])
            for number in range(rounds):
                for way in WAYS:
                    given = _give(fleet, registry, ref, machines[: size + 1], way)
                    measured.setdefault((way.name, size), []).append(given)
                    say(f"round {number + 1}, {size} receivers, {way.name}: {given}", given.slowest)
    finally:
        if registry:
            registry.stop()
        lab.down(*names[: max(sizes) + 1])


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


def _with_engines(fleet: Fleet, registry: Registry, machines: list[Machine]) -> None:
    images, fleet.machines = (fleet.directory / "deploy.py").read_text(), machines
    (fleet.directory / "deploy.py").write_text(ENGINE)
    _run(fleet, registry, "main")
    (fleet.directory / "deploy.py").write_text(images)


def _made(fleet: Fleet, registry: Registry) -> str:
    """Build the image that is to be given on a bare host; return its commit."""
    (giver,) = fleet.machines
    _with_engines(fleet, registry, [giver])
    giver.sh(f"apt-get -qq install -y git >/dev/null; {FILES}")
    steps = "".join(f"COPY --from=bench-files /usr /{layer}\\n" for layer in range(LAYERS))
    ref = fleet.commit(giver, "bench", step=steps)
    _run(fleet, registry, ref)
    said = giver.sh(f"docker image inspect -f '{{{{.Size}}}}' {fleet.tag}")
    say(f"the image has {int(said) / 1e6:.0f} MB", 0)
    return ref


def _give(fleet: Fleet, registry: Registry, ref: str, machines: list[Machine], way: Way) -> Given:
    fleet.machines, receivers = machines, machines[1:]
    if way.registry and not way.there:
        shutil.rmtree(registry.directory / "data", ignore_errors=True)
        (fleet.directory / lockfile.NAME).unlink(missing_ok=True)
    named = {"images": {"registry": {"address": f"{registry.address}/bench"}}}
    for machine in receivers:
        machine.sh(f"docker image rm -f {fleet.tag}; docker image prune -f >/dev/null", None)
    started = time.monotonic()
    with watched_cores() as cores:
        said = _run(fleet, registry, ref, **(named if way.registry else {}))
    whole = time.monotonic() - started
    by = "pulled from" if way.registry else "layers from"
    seconds = re.findall(rf"gateway image: .*{by} .* in (\d+) s", said)
    if len(seconds) != len(receivers):
        raise lab.LabError(f"{way.name}: it was given another way: {said[-3000:]}")
    return Given(whole, max(map(float, seconds)), cores.busy)


def _run(fleet: Fleet, registry: Registry, ref: str, **settings: Any) -> str:
    engine = {"daemon": {"insecure-registries": [registry.address]}}
    done = fleet.run(ref=ref, engine=engine, **settings)
    for machine in fleet.machines:
        if failed := done.failed(machine.name):
            raise lab.LabError(f"{machine.name}: {failed}")
    return done.said
