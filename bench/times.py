"""Where the time of the toolkit's own no-change run goes."""

from __future__ import annotations

import re
import shlex
import statistics
import subprocess
from collections import defaultdict

from bench import doors
from bench.again import OURS, Measured
from bench.tables import table
from lab import hosts as lab
from tests.e2e.harness import ROOT

PHASES = {"connect": "connecting", "plan": "reading the host, deciding", "lock": "", "execute": ""}
PROBE = re.compile(
    r"printf '\\036[0-9a-f ]*%s\\n' (\S+)\n(.*?\n\) 8>&1 2>/dev/null </dev/null)", re.DOTALL
)
CLOCK = "/run/bench-probes"
ROUNDS, SHOWN = 5, 0.01


def tables(measured: Measured, host: lab.Host) -> str:
    """The phases of a run on one host, its commands there, the probes, and the imports."""
    parts = [_phases(measured), _commands(measured)]
    snapshot = max((one.text for one in measured.counted[OURS].commands), key=len)
    probes = _probes(host, snapshot)
    parts.append(_sorted("probe of the snapshot", probes))
    parts.append(_sorted("imports of `./claw`, with `python -X importtime`", _imports()))
    return "\n\n".join(filter(None, parts))


def _phases(measured: Measured) -> str:
    runs = measured.phases
    if not runs:
        return ""
    middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    known = {title or name: middle[name] for name, title in PHASES.items() if name in middle}
    rows = {
        "starting Python, imports, ending": middle["whole"] - middle["total"],
        "inventory, settings, report, closing connections": middle["total"] - sum(known.values()),
        **known,
        "**whole command**": middle["whole"],
    }
    lines = [[name, f"{seconds:.3f}"] for name, seconds in rows.items()]
    return table([f"no-change run, 1 host, median of {len(runs)}", "seconds"], lines)


def _commands(measured: Measured) -> str:
    lines = [
        [f"`{_start(one.text)}`", str(len(one.text)), f"{one.seconds:.3f}"]
        for one in measured.counted[OURS].commands
    ]
    return table(["command on the host", "characters", "seconds"], lines)


def _probes(host: lab.Host, command: str) -> dict[str, float]:
    """Time each probe of the snapshot's script by the host's clock; some run at once."""
    clock = f"date +'%s%N \\1' >>{CLOCK}"
    timed = PROBE.sub(rf"{clock}\n\2\n{clock}", shlex.split(command)[-1])
    asked = f"sh -c {shlex.quote(timed)} >/dev/null 2>&1 </dev/null"
    found = defaultdict(list)
    for _ in range(ROUNDS):
        answer = doors.run(host, f"rm -f {CLOCK}\n{asked}\ncat {CLOCK}; rm {CLOCK}").splitlines()
        started: dict[str, int] = {}
        for moment, name in (one.split() for one in answer if re.fullmatch(r"\d{19} \S+", one)):
            if name in started:
                found[name].append((int(moment) - started[name]) / 1e9)
            started[name] = int(moment)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def _imports() -> dict[str, float]:
    """The seconds of importing what is in each package, without what that imports in turn."""
    command = [str(ROOT / ".venv/bin/python"), "-I", "-X", "importtime"]
    done = subprocess.run(
        [*command, str(ROOT / "commandline/__main__.py"), "--help"], capture_output=True, text=True
    )
    found: dict[str, float] = defaultdict(float)
    for own, name in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", done.stderr, re.M):
        found[name.partition(".")[0]] += int(own) / 1e6
    return found


def _sorted(title: str, found: dict[str, float]) -> str:
    rows = sorted(found.items(), key=lambda item: -item[1])
    lines = [[name, f"{seconds:.3f}"] for name, seconds in rows if seconds >= SHOWN]
    lines.append(["the others", f"{sum(one for one in found.values() if one < SHOWN):.3f}"])
    lines.append(["**all**", f"{sum(found.values()):.3f}"])
    return table([title, "seconds"], lines)


def _start(text: str) -> str:
    return " ".join(text.split())[:60].replace("|", "\\|").replace("`", "'")
