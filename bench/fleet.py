#!/usr/bin/env python3
"""What a fleet costs over SSH, beside plain pyinfra, Ansible, and the least that it could cost.

    .venv/bin/python bench/fleet.py again [--host NAME] [--sizes 1,4,8,16] [--delays 0,40]
    .venv/bin/python bench/fleet.py first [--sizes 1,4,8]
    .venv/bin/python bench/fleet.py give [--sizes 1,8]

`again`: no-change runs on a converged host under up to 16 names; `first`: first deploys of bare
hosts; `give`: an image of 1.5 GB from one host to others. Prints Markdown; what it makes it
removes, unless told to keep it. Interrupted (Ctrl-C), it prints what it has.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import again, first, giving, tables, times, ways
from lab import hosts as lab
from lab.engine import Engine
from tests.e2e.harness import Deployment


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("again", help="no-change runs")
    one.add_argument("--host", help="a lab host that is kept, and deployed if it is not")
    one.add_argument("--sizes", type=numbers, default=[1, 4, 8, 16], help="names in the inventory")
    one.add_argument("--delays", type=numbers, default=[0, 40], help="milliseconds, each way")
    one.add_argument("--rounds", type=int, default=5, help="of the toolkit and of the floor")
    one.add_argument("--pyinfra-rounds", type=int, default=3, help="0: not at all")
    one.add_argument("--ansible-rounds", type=int, default=1, help="0: not at all")
    one.add_argument("--ansible-delayed", type=int, default=1, help="with a delay: up to N hosts")
    two = verbs.add_parser("first", help="first deploys")
    two.add_argument("--sizes", type=numbers, default=[1, 4, 8], help="hosts, each bare and real")
    three = verbs.add_parser("give", help="an image for other hosts, by each way")
    three.add_argument("--sizes", type=numbers, default=[1, 8], help="hosts that receive it")
    three.add_argument("--rounds", type=int, default=3)
    for verb in (one, two, three):
        verb.add_argument("--suite", choices=lab.SUITES, default="bookworm")
    options = parser.parse_args()
    engine = Engine()
    try:
        with tempfile.TemporaryDirectory() as directory:
            work = {"again": look_again, "first": deploy_first, "give": give}[options.verb]
            return work(options, Path(directory))
    finally:
        engine.close()


def look_again(options: argparse.Namespace, directory: Path) -> int:
    rounds = {
        ways.OURS: options.rounds,
        ways.FLOOR: options.rounds,
        ways.PYINFRA: options.pyinfra_rounds,
        ways.ANSIBLE_WAY: options.ansible_rounds,
    }
    if options.ansible_rounds:
        ways.ansible()
    name = options.host or f"bench-{os.getpid()}"
    host = lab.up(name, options.suite, owner=0 if options.host else os.getpid())
    measured = again.Measured(options.sizes, options.delays, rounds)
    stopped = 0
    try:
        try:
            result = Deployment(host, directory / "inventory.py").claw("up", "--json")
            again.say("deployed", result.seconds)
            again.measure(host, directory, measured, options.ansible_delayed)
        except (KeyboardInterrupt, ways.NotConverged) as error:
            print(f"bench: stopped: {error or 'interrupted'}", file=sys.stderr)
            stopped = 1
        if measured.counted:
            print(tables.again(measured), times.tables(measured, host), sep="\n\n")
    finally:
        if not options.host:
            lab.down(name)
    return stopped


def deploy_first(options: argparse.Namespace, directory: Path) -> int:
    found = []
    stopped = 0
    for size in options.sizes:
        try:
            found.append(first.deploy(size, options.suite, directory))
        except (KeyboardInterrupt, AssertionError, lab.LabError) as error:
            print(f"bench: {size} hosts: {error or 'interrupted'}", file=sys.stderr)
            stopped = 1
            break
    if found:
        print(first.table(found))
    return stopped


def give(options: argparse.Namespace, directory: Path) -> int:
    measured: giving.Measured = {}
    stopped = 0
    try:
        giving.measure(measured, options.sizes, options.rounds, options.suite, directory)
    except (KeyboardInterrupt, lab.LabError) as error:
        print(f"bench: stopped: {error or 'interrupted'}", file=sys.stderr)
        stopped = 1
    if measured:
        print(giving.table(measured))
    return stopped


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
