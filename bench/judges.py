#!/usr/bin/env python3
"""What it takes to hear OpenClaw's judges on a lab host, in ways that were tried.

    .venv/bin/python bench/judges.py [--host NAME] [--rounds 3]

The three commands each by itself, all in one process (as `verify` asks them), and in two at the
same time; with a compile cache that a run before has filled; and the whole of `./claw verify`. CPU
is that of the whole host. Prints one Markdown table of medians; a host without `--host` is deployed
before and removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import doors
from bench.again import say
from bench.cost import usage
from bench.tables import table
from lab import hosts as lab
from lab.engine import Engine
from operations.base import templates
from tests.e2e.harness import Deployment

PROGRAM = "/run/bench-judges.mjs"
NODE = "node --disable-warning=ExperimentalWarning --max-semi-space-size=64 --input-type=module -"
ASK = f"""
gateway=$(docker ps -q --filter label=com.docker.compose.service=openclaw-gateway)
inside() {{ docker exec -i $gateway "$@"; }}
together() {{ inside env $settings {NODE} "$@" <{PROGRAM}; }}
validate='config_validate config validate --json' audit='audit security audit --deep --json'
doctor='doctor doctor --json' settings=
"""
CACHED = "settings=NODE_COMPILE_CACHE=/tmp/bench-compile-cache"
WAYS = {
    "three commands": (
        'for one in "$validate" "$audit" "$doctor"; do inside openclaw ${one#* } || :; done'
    ),
    "**in one process**": 'together "$validate" "$audit" "$doctor"',
    "the doctor alone": 'together "$doctor"',
    "in two processes": 'together "$audit" & together "$validate" "$doctor"; wait',
    "in one process, compile cache": f'{CACHED}; together "$validate" "$audit" "$doctor"',
}
VERIFY = "`./claw verify`"


def asked(deployment: Deployment, way: str) -> None:
    """Hear the judges in one way."""
    if way == VERIFY:
        deployment.claw("verify")
        return
    doors.run(deployment.vps, f"{{ {ASK}\n{WAYS[way]}\n}} </dev/null >/dev/null")


def measure(deployment: Deployment, rounds: int) -> list[list[str]]:
    """Return the rows of the table; a first look of each way is not counted."""
    program = shlex.quote(templates.render("openclaw/judges.mjs"))
    doors.run(deployment.vps, f"printf %s {program} >{PROGRAM}")
    file = usage(deployment.vps)
    ways = [*WAYS, VERIFY]
    wall: dict[str, list[float]] = {way: [] for way in ways}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way in ways:
            before, start = int(file.read_text()), time.monotonic()
            asked(deployment, way)
            seconds = time.monotonic() - start
            say(way, seconds)
            if number:
                wall[way].append(seconds)
                cpu[way].append((int(file.read_text()) - before) / 1e9)
    median = statistics.median
    return [[way, f"{median(wall[way]):.1f}", f"{median(cpu[way]):.1f}"] for way in ways]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--host")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    engine = Engine()
    name = options.host or f"judges-{os.getpid()}"
    try:
        host = lab.find(name) if options.host else lab.up(name, owner=os.getpid())
        with tempfile.TemporaryDirectory() as directory:
            deployment = Deployment(host, Path(directory) / "inventory.py")
            if not options.host:
                deployment.claw("up")
            rows = measure(deployment, options.rounds)
    finally:
        if not options.host:
            lab.down(name)
        engine.close()
    print(table(["to hear OpenClaw's judges", "wall, s", "CPU on the host, s"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
