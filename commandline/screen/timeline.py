"""The timeline of a run: one HTML file without anything from outside, hosts down, time across."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from commandline.results import HostResult, RunResult, split_name
from commandline.screen import pages
from commandline.screen.words import duration

WAITING = ("Connect", "Check", "Lock", "Outside")
STAGES = (
    *("Packages", "Engine", "Engine configuration", "Conflicts", "Recovery", "Directories"),
    *("Sandbox workspaces", "Security profiles", "Secrets", "Images", "Sandbox images"),
    *(
        "Compose project",
        "Gateway service",
        "Gateway configuration",
        "Network",
        "Host",
        "Activation",
    ),
    *("Sandboxes", "Backups", "Record", "Superseded images", "Superseded sandbox images"),
    *("Verification", "Exposure", "Watch"),
)
"""Of deploy.py: each has its own colour, the same in every run."""
HUES = 13
TICKS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
MOST_TICKS = 10


@dataclass(frozen=True)
class Bar:
    """Something that took time on a host."""

    stage: str
    name: str
    started: float
    seconds: float
    changed: bool = False
    failed: bool = False

    @property
    def waits(self) -> bool:
        return self.stage in WAITING

    @property
    def detail(self) -> str:
        words = [f"{duration(self.seconds)}, from {duration(self.started)} on"]
        if not self.waits:
            what = "failed" if self.failed else "changed" if self.changed else "nothing to change"
            words.append(what)
        return " · ".join(words)


def bars(host: HostResult) -> list[Bar]:
    """Return what took time on a host, in order."""
    found = [Bar(mark.name, mark.name, mark.started, mark.seconds) for mark in host.marks]
    for one in host.operations:
        stage, name = split_name(one.name)
        found.append(Bar(stage or "Other", name, one.started, one.seconds, one.changed, one.failed))
    return sorted(found, key=lambda bar: bar.started)


def render(result: RunResult, target: str, owner: str, moment: str) -> str:
    """Return the HTML file of a run that ends now; `moment` says when that is."""
    by_host = {name: bars(host) for name, host in result.hosts.items()}
    everything = [bar for own in by_host.values() for bar in own]
    total = max([bar.started + bar.seconds for bar in everything], default=0.0) or 1.0
    chosen = colours(bar.stage for bar in everything)
    return pages.render(
        "timeline/timeline.html.j2",
        target=target,
        owner=owner,
        moment=moment,
        total=duration(total),
        outcome=outcome(result),
        ticks=[{"left": _percent(second, total), "label": label} for second, label in ticks(total)],
        stages=_stages(by_host, chosen),
        hosts=[
            _host(name, result, [_drawn(bar, total, chosen) for bar in by_host[name]])
            for name in result.hosts
        ],
    )


def ticks(total: float) -> list[tuple[int, str]]:
    """Return the seconds at which the axis has a mark, and what is written there."""
    step = next((step for step in TICKS if total / step <= MOST_TICKS), TICKS[-1])
    marks = range(0, int(total) + 1, step)
    if step < 60:
        return [(second, f"{second} s") for second in marks]
    return [(second, f"{second // 60} min") for second in marks]


def outcome(result: RunResult) -> str:
    """Return how many hosts ended how, in a few words."""
    if result.interrupted is not None:
        return "interrupted"
    states = [host.state for host in result.hosts.values()]
    order = ("changed", "unchanged", "pending", "failed", "not attempted")
    return ", ".join(f"{states.count(state)} {state}" for state in order if state in states)


@dataclass(frozen=True)
class Colour:
    """A hue in degrees of OKLCH, and which of three tones: plain, the other lightness, striped."""

    hue: int
    tone: str = ""


def colours(stages: Iterable[str]) -> dict[str, Colour]:
    """Return the colour of each stage; those of deploy.py have theirs, others get striped ones.

    More of the others than there are hues share some.
    """
    others: dict[int, str] = {}
    for stage in sorted(set(stages) - set(STAGES) - set(WAITING)):
        wish = zlib.crc32(stage.encode(errors="replace")) % HUES
        free = [(wish + step) % HUES for step in range(HUES) if (wish + step) % HUES not in others]
        others[free[0] if free else len(others)] = stage
    found = {stage: Colour(0) for stage in WAITING}
    for number, stage in enumerate(STAGES):  # neighbours are far apart
        found[stage] = Colour(_degrees(number * 4), "other" if number >= HUES else "")
    return found | {stage: Colour(_degrees(place), "striped") for place, stage in others.items()}


def _degrees(place: int) -> int:
    return round(place % HUES * 360 / HUES)


def _stages(by_host: dict[str, list[Bar]], chosen: dict[str, Colour]) -> list[dict[str, Any]]:
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for host, own in by_host.items():
        for bar in own:
            sums[bar.stage][host] += bar.seconds
    rows = []
    begun = sorted((bar for own in by_host.values() for bar in own), key=lambda bar: bar.started)
    for stage in dict.fromkeys(bar.stage for bar in begun):
        slowest = max(sums[stage], key=lambda host: sums[stage][host])
        rows.append(
            {
                "name": stage,
                "colour": chosen[stage],
                "waits": stage in WAITING,
                "longest": duration(sums[stage][slowest]),
                "host": slowest,
                "sum": duration(sum(sums[stage].values())),
            }
        )
    return rows


def _drawn(bar: Bar, total: float, chosen: dict[str, Colour]) -> dict[str, Any]:
    return {
        "name": bar.name if bar.waits else f"{bar.stage} | {bar.name}",
        "detail": bar.detail,
        "left": _percent(bar.started, total),
        "width": _percent(bar.seconds, total),
        "colour": chosen[bar.stage],
        "waits": bar.waits,
        "same": not bar.waits and not bar.changed,
        "failed": bar.failed,
    }


def _host(name: str, result: RunResult, drawn: list[dict[str, Any]]) -> dict[str, Any]:
    host = result.hosts[name]
    problems = "; ".join(problem["what"] for problem in host.problems)
    batch = [number for number, names in enumerate(result.batches, 1) if name in names]
    return {
        "name": name,
        "state": host.state,
        "failed": bool(host.failed),
        "changed": len(host.changed) or "",
        "time": duration(host.seconds) if host.operations else "",
        "version": host.version,
        "health": host.health,
        "reason": problems or host.failed or host.left_out or "",
        "note": f"batch {batch[0]}" if batch and len(result.batches) > 1 else "",
        "bars": drawn,
    }


def _percent(seconds: float, total: float) -> float:
    return round(max(0.0, seconds) * 100 / total, 3)
