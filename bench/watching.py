#!/usr/bin/env python3
"""What watching costs an idle host: CPU seconds an hour, memory, bytes.

    .venv/bin/python bench/watching.py [--host NAME] [--minutes 2] [--rounds 3]

Deploys a lab host with the watchdog and the metrics (`--host`: one that is, and stays), lets it
come to rest, and then lets it idle so long without them (their timers and the exporter stopped),
with the watchdog, and with both, round after round. CPU is that of the whole host with its engine
and gateway (cpuacct of its control group); medians. With metrics the exporter is asked every half
minute, as Prometheus is told to.
"""

from __future__ import annotations

import argparse
import os
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
from tests.e2e.harness import Deployment

SCRAPE_SECONDS = 30
SCRAPE = "curl -s -H 'Accept-Encoding: gzip' http://127.0.0.1:9100/metrics | wc -c"
ASKED = f"""
echo $({SCRAPE})
stat -c %s /run/openclaw-metrics/openclaw.prom
sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$(pgrep -x prometheus-node)/status
"""
WATCHED = {"watch": {"watchdog": True, "metrics": True}}
WATCHDOG, METRICS = (
    ("openclaw-watch.timer",),
    ("openclaw-metrics.timer", "prometheus-node-exporter"),
)
WAYS = {
    "neither": (),
    "`watch.watchdog`": WATCHDOG,
    "and `watch.metrics`": WATCHDOG + METRICS,
}
SETTLED_SECONDS = 300
"""What a gateway's start leaves to be done."""


def idle(host: lab.Host, minutes: int, scraped: bool) -> float:
    """Return how many CPU seconds a host takes in an hour, as it does for so long."""
    file, asked = usage(host), SCRAPE if scraped else ":"
    before, start = int(file.read_text()), time.monotonic()
    times = minutes * 60 // SCRAPE_SECONDS
    lab.ssh(host.name, f"for one in $(seq {times}); do {asked}; sleep {SCRAPE_SECONDS}; done")
    return (int(file.read_text()) - before) / 1e9 / (time.monotonic() - start) * 3600


def measure(name: str, minutes: int, rounds: int) -> dict[str, float]:
    """Return the median of each way."""
    host, found = lab.find(name), {way: list[float]() for way in WAYS}
    for _ in range(rounds):
        for way, units in WAYS.items():
            doors.run(host, f"systemctl stop {' '.join(WATCHDOG + METRICS)}")
            if units:
                doors.run(host, f"systemctl start {' '.join(units)}")
            time.sleep(10)
            found[way].append(idle(host, minutes, set(METRICS) <= set(units)))
            say(way, found[way][-1])
    return {way: statistics.median(seconds) for way, seconds in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--host")
    parser.add_argument("--minutes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    engine = Engine()
    name = options.host or f"watching-{os.getpid()}"
    try:
        if not options.host:
            with tempfile.TemporaryDirectory() as directory:
                host = lab.up(name, owner=os.getpid())
                inventory = Path(directory) / "inventory.py"
                Deployment(host, inventory).claw("up", settings=WATCHED)
            time.sleep(SETTLED_SECONDS)
        found = measure(name, options.minutes, options.rounds)
        scrape, file, memory = map(int, lab.ssh(name, ASKED).stdout.split())
    finally:
        if not options.host:
            lab.down(name)
        engine.close()
    nothing = found["neither"]
    rows = [[way, f"{one:.0f}", f"{one - nothing:.0f}"] for way, one in found.items()]
    print(table(["idle host", "CPU seconds an hour", "more than with neither"], rows))
    print(
        f"\nThe exporter has {memory / 1024:.0f} MiB of memory; the textfile {file} bytes, in"
        f" memory, written anew each minute; a scrape is {scrape / 1024:.1f} KiB,"
        f" {scrape * 3600 / SCRAPE_SECONDS / 2**20:.1f} MiB an hour."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
