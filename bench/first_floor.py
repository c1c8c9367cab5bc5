#!/usr/bin/env python3
"""A first deploy beside its floor: what is unavoidable, done by one shell script on such a host.

    .venv/bin/python bench/first_floor.py [--rounds 2]

The first deploy, which is not counted, fills the machine's caches and gives what the floor takes
as it is: the packages that the host had not, its apt sources, the build context, the compose files,
.env and openclaw.json. The floor installs these packages, makes the same Debian base image, builds
the same Dockerfile, starts the same container and waits for `/readyz`; it checks, merges, closes
and proves nothing. Each round deploys a bare host by the toolkit, and one by the floor.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import doors
from bench.again import say
from bench.deploy import medians, stages
from bench.tables import table
from lab import hosts as lab
from lab.engine import Engine
from operations.images import identity
from tests.e2e.harness import Deployment, Result

MOST = 1.3
MANUAL = "apt-mark showmanual"
TAKEN = """
umask 077
tar -C / -c etc/apt opt/openclaw $(cd / && ls -d etc/docker/daemon.json 2>/dev/null) \\
  var/lib/openclaw/config/openclaw.json
"""
DIRECTORIES = tuple(
    f"/var/lib/openclaw/{name}" for name in ("config", "workspace", "auth", "archives")
)
SECRETS = (
    "--secret id=ca,src=/etc/ssl/certs/ca-certificates.crt --secret id=apt-sources,src=sources.list"
)
FLOOR = """
set -eu
export DEBIAN_FRONTEND=noninteractive TMPDIR=/var/tmp
cd /root
step() {{ echo "$(date +%s.%N) $*" >>/root/steps; }}
step packages and engine
tar -C / -xf inputs.tar etc
apt-get -q update
apt-get -q -y --no-install-recommends install {packages}
step base image
sed 's/^ *//' /etc/apt/sources.list >sources.list
mmdebstrap --format=tar --variant=minbase --include={base_packages} {dpkg_options} \\
  --aptopt='Acquire::Languages "none"' {suite} base.tar sources.list
docker import --change 'CMD ["bash"]' base.tar {base}
step gateway image
tar -C / -xf inputs.tar
docker buildx build --progress=plain --load --tag openclaw:local {secrets} \\
  --build-arg BASE={base} /opt/openclaw/images/gateway
step gateway
mkdir -p {directories}
chown -R "$(sed -n 's/^  user: "\\(.*\\)"/\\1/p' /opt/openclaw/docker-compose.yml)" {directories}
cd /opt/openclaw
docker compose up --detach openclaw-gateway
until curl -fs -o /dev/null -m 2 http://127.0.0.1:18789/readyz; do sleep 0.1; done
step end
"""


@dataclass
class Inputs:
    """What the floor takes from a host that the toolkit has deployed."""

    archive: Path
    packages: list[str]

    def script(self) -> str:
        options = [f"--dpkgopt={option}" for option in identity.BASE_DPKG_OPTIONS]
        return FLOOR.format(
            packages=shlex.join(self.packages),
            base_packages=",".join(identity.BASE_PACKAGES),
            dpkg_options=shlex.join(options),
            suite=identity.SUITE,
            base=identity.BOOTSTRAPPED,
            secrets=SECRETS,
            directories=" ".join(DIRECTORIES),
        )


def bare(what: str) -> lab.Host:
    return lab.up(f"{what}-{os.getpid()}", owner=os.getpid())


def deployed(host: lab.Host, directory: Path) -> Result:
    result = Deployment(host, directory / f"{host.name}.py").claw("up", "--json")
    say("first deploy", result.seconds)
    return result


def inputs(directory: Path) -> Inputs:
    """Deploy a host, and take from it what the floor needs."""
    host = bare("inputs")
    try:
        before = set(doors.run(host, MANUAL).split())
        deployed(host, directory)
        packages = sorted(set(doors.run(host, MANUAL).split()) - before)
        archive = directory / "inputs.tar"
        ssh = ["ssh", "-F", str(lab.SSH_DIR / "config"), "-l", "root", host.name, TAKEN]
        with archive.open("wb") as file:
            subprocess.run(ssh, stdout=file, check=True)
        return Inputs(archive, packages)
    finally:
        lab.down(host.name)


def floor(host: lab.Host, given: Inputs) -> dict[str, float]:
    """Do what is unavoidable on a bare host; the seconds of each step, and of the whole."""
    scp = ["scp", "-q", "-F", str(lab.SSH_DIR / "config"), str(given.archive)]
    subprocess.run([*scp, f"root@{host.name}:/root/inputs.tar"], check=True)
    start = time.monotonic()
    doors.run(host, given.script())
    took = {"whole": time.monotonic() - start}
    say("floor", took["whole"])
    moments = [line.split(" ", 1) for line in doors.run(host, "cat /root/steps").splitlines()]
    for (begun, name), (ended, _) in pairwise(moments):
        took[name] = float(ended) - float(begun)
    return took


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    engine = Engine()
    ours: list[Result] = []
    floors: list[dict[str, float]] = []
    try:
        with tempfile.TemporaryDirectory() as name:
            given = inputs(Path(name))
            for _ in range(options.rounds):
                host = bare("ours")
                try:
                    ours.append(deployed(host, Path(name)))
                finally:
                    lab.down(host.name)
                host = bare("floor")
                try:
                    floors.append(floor(host, given))
                finally:
                    lab.down(host.name)
    finally:
        engine.close()
    print(report(ours, floors))
    return 0


def report(ours: list[Result], floors: list[dict[str, float]]) -> str:
    """Return the table of both, medians of the rounds, and their ratio."""
    took, least = medians([stages(result) for result in ours]), medians(floors)
    rows = [[name, f"{seconds:.1f}", ""] for name, seconds in took.items() if seconds >= 0.05]
    for name, seconds in least.items():
        if name != "whole":
            rows.append([f"*{name}*", "", f"{seconds:.1f}"])
    whole = statistics.median(result.seconds for result in ours)
    ratio = statistics.median(
        result.seconds / one["whole"] for result, one in zip(ours, floors, strict=True)
    )
    rows.append(["**whole**", f"{whole:.1f}", f"{least['whole']:.1f}"])
    judged = "met" if ratio <= MOST else "**not met**"
    return (
        table(["first deploy, seconds", "this toolkit", "floor"], rows)
        + f"\n\n{ratio:.2f} times the floor, median of {len(ours)} rounds (target {MOST}): {judged}"
    )


if __name__ == "__main__":
    sys.exit(main())
