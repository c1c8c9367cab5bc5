#!/usr/bin/env python3
"""The laboratory by hand: start the private engine, make hosts, look at them, throw them away."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab import hosts as lab


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab.py", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, meaning in (
        ("up", "make hosts, by name or N of them"),
        ("reset", "make hosts again from nothing"),
        ("down", "remove hosts"),
        ("wait", "until they have booted"),
        ("ips", "name, release and address of every host"),
        ("inventory", "a YAML inventory of the hosts"),
        ("ssh", "NAME COMMAND..."),
    ):
        sub = verbs.add_parser(verb, help=meaning)
        sub.add_argument("names", nargs=argparse.REMAINDER if verb == "ssh" else "*")
        if verb == "up":
            sub.add_argument("--suite", choices=lab.SUITES, default="bookworm")
        if verb == "down":
            sub.add_argument("--all", action="store_true", help="every host, whoever made it")
        if verb == "inventory":
            sub.add_argument("--user", default="root")
    options = parser.parse_args()
    try:
        with lab.named():
            return run(options)
    except (lab.LabError, subprocess.CalledProcessError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    names: list[str] = options.names
    if options.verb == "up":
        subprocess.run([str(lab.HERE / "engine.sh"), "start"], check=True)
        if len(names) == 1 and names[0].isdigit():
            names = [f"{options.suite}{number + 1}" for number in range(int(names[0]))]
        for name in names:
            host = lab.up(name, options.suite)
            print(f"{host.name} {host.suite} {host.ip}   {lab.shell_command(host.name)}")
    elif options.verb == "reset":
        for name in names:
            print(lab.reset(name).ip)
    elif options.verb == "down":
        if not names and not options.all:
            raise lab.LabError("name the hosts to remove, or say --all")
        lab.down(*names)
    elif options.verb == "wait":
        for name in names or [host.name for host in lab.hosts()]:
            lab.wait(name)
    elif options.verb == "ips":
        for host in lab.hosts():
            print(host.name, host.suite, host.ip)
    elif options.verb == "inventory":
        print(lab.inventory(names, options.user), end="")
    elif options.verb == "ssh":
        done = lab.ssh(names[0], " ".join(names[1:]))
        print(done.stdout, end="")
        print(done.stderr, end="", file=sys.stderr)
        return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
