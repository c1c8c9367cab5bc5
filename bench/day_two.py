"""What is done to a gateway that is there, in seconds: an upgrade, stop, start, restart, backup,
drill, restore and rotate on a lab host, beside the gateway's own stop and start in the same run.

The upgrade is done once; the others in turn, round after round, and the medians are printed. How
long the gateway is away is measured on the host: from the first request of its readiness that fails
to the first that succeeds again.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.again import say
from bench.tables import table
from lab import hosts as lab
from lab.engine import Engine
from tests.e2e.harness import claw

PORT = 18789
EARLIER = "2026.8.2"
READY = (
    f"[ \"$(curl -s -o /dev/null -m 2 -w '%{{http_code}}' http://127.0.0.1:{PORT}/readyz)\" = 200 ]"
)
GATEWAY = "docker ps -aq --filter label=com.docker.compose.service=openclaw-gateway"
WATCH = f"""
was=200
while [ -e /run/bench-watch ]; do
  if {READY}; then now=200; else now=away; fi
  [ $now = $was ] || echo "$now $(date +%s.%N)"
  was=$now
  sleep 0.05
done
"""


class Bench:
    """A deployed lab host, and what was measured on it: seconds by what was done."""

    def __init__(self, host: lab.Host, directory: Path) -> None:
        self.host, self.inventory = host, directory / "inventory.py"
        (directory / "password").write_text("of the bench\n")
        backup = {
            "repository": "/srv/restic",
            "password": {"file": str(directory / "password")},
        }
        settings = {"backup": backup, **lab.connection(host.ip)}
        self.inventory.write_text(f"hosts = [({host.name!r}, {settings!r})]\n")
        self.state = {"XDG_STATE_HOME": str(directory / "state")}
        self.took: dict[str, list[float]] = defaultdict(list)
        self.away: dict[str, list[float]] = defaultdict(list)

    def claw(self, verb: str, *words: str) -> str:
        return claw(verb, str(self.inventory), *words, env=self.state).output

    def measure(self, what: str, done: Callable[[], object]) -> None:
        with self._watched() as away:
            started = time.monotonic()
            done()
            self.took[what].append(time.monotonic() - started)
        self.away[what] += away
        say(what, self.took[what][-1])

    def on_host(self, script: str) -> None:
        lab.ssh(self.host.name, script)

    @contextmanager
    def _watched(self) -> Iterator[list[float]]:
        """Yield what becomes the seconds for which the gateway was away, if it came back."""
        away: list[float] = []
        self.on_host("touch /run/bench-watch")
        command = ["ssh", "-F", str(lab.SSH_DIR / "config"), "-l", "root", self.host.name, "sh -s"]
        with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as watcher:
            assert watcher.stdin
            watcher.stdin.write(WATCH)
            watcher.stdin.close()
            watcher.stdin = None
            yield away
            self.on_host("rm -f /run/bench-watch")
            said, _ = watcher.communicate()
        moments = [line.split() for line in said.splitlines()]
        gone = [float(at) for word, at in moments if word == "away"]
        back = [float(at) for word, at in moments if word == "200"]
        if gone and back and back[-1] > gone[0]:
            away.append(back[-1] - gone[0])


def upgraded(bench: Bench) -> None:
    """From an earlier release; the build of the new one is in the seconds of the whole."""
    bench.claw("up", "--set", f"gateway.version={EARLIER}")
    said: list[str] = []
    what = f"`./claw upgrade` from {EARLIER}, with the build"
    bench.measure(what, lambda: said.append(bench.claw("upgrade", "-y")))
    for seconds in re.findall(r"on a copy of the state in (\d+) s", said[0])[:1]:
        bench.took["of that, the rehearsal"].append(float(seconds))
    for seconds in re.findall(r"downtime: ([\d.]+) s", said[0])[:1]:
        bench.took["of that, the downtime that the summary names"].append(float(seconds))


def rounds(bench: Bench, number: int) -> None:
    ready = f"until {READY}; do sleep 0.05; done"
    for _ in range(number):
        bench.measure(
            "the gateway's own stop (`docker stop`)",
            lambda: bench.on_host(f"docker stop -t 330 $({GATEWAY})"),
        )
        bench.measure(
            "the gateway's own start, to ready",
            lambda: bench.on_host(f"docker start $({GATEWAY}); {ready}"),
        )
        bench.measure(
            "both, one after the other",
            lambda: bench.on_host(f"docker restart -t 330 $({GATEWAY}); {ready}"),
        )
        bench.measure("`./claw stop`", lambda: bench.claw("stop", "-y"))
        bench.measure("`./claw start`", lambda: bench.claw("start", "-y"))
        bench.measure("`./claw restart`", lambda: bench.claw("restart", "-y"))
        bench.measure("`./claw backup`", lambda: bench.claw("backup"))
        bench.measure("`./claw drill`", lambda: bench.claw("drill"))
        bench.measure("`./claw restore`", lambda: bench.claw("restore", "-y"))
        bench.measure("`./claw rotate`", lambda: bench.claw("rotate", "-y"))
        bench.measure("`./claw up`, nothing to change", lambda: bench.claw("up"))
        bench.measure("`./claw status`", lambda: bench.claw("status"))


def markdown(bench: Bench, number: int, load: tuple[float, float]) -> str:
    rows = [
        [
            what,
            f"{statistics.median(seconds):.1f}",
            f"{statistics.median(bench.away[what]):.1f}" if bench.away[what] else "",
        ]
        for what, seconds in bench.took.items()
    ]
    notes = (
        f"{os.cpu_count()} cores; medians of {number} rounds; load average of the machine"
        f" {load[0]:.1f} before, {load[1]:.1f} after."
    )
    head = ["seconds", "whole command", "gateway away"]
    return f"{notes}\n\n{table(head, rows)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="bookworm")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    name, load, engine = f"bench-{os.getpid()}", os.getloadavg()[0], Engine()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bench = None
    try:
        with tempfile.TemporaryDirectory() as directory:
            bench = Bench(lab.up(name, options.suite, os.getpid()), Path(directory))
            upgraded(bench)
            rounds(bench, options.rounds)
    except KeyboardInterrupt:
        print("bench: stopped; what was measured:", file=sys.stderr)
    finally:
        lab.down(name)
        engine.close()
    if bench is None:
        return 1
    print(markdown(bench, options.rounds, (load, os.getloadavg()[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
