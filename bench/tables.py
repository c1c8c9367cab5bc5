"""What was measured, as Markdown."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from bench.again import WAYS, Measured
from bench.ways import ANSIBLE, ANSIBLE_WAY, FLOOR, OURS, PYINFRA

MOST_COMMANDS = 8


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def again(measured: Measured) -> str:
    """The tables of the no-change runs, their notes, and which targets they meet."""
    rounds = ", ".join(f"{way} {number}" for way, number in measured.rounds.items() if number)
    notes = (
        f"{os.cpu_count()} cores; medians; rounds: {rounds}; in parentheses the median of the "
        f"ratios to the floor in the same round. {measured.resources} resources on each host for "
        f"plain pyinfra and for Ansible (ansible-core {ANSIBLE})."
    )
    parts = [notes]
    for delay in measured.delays:
        where = f"{2 * delay} ms of round trip" if delay else "over the bridge"
        header = [f"no-change run, seconds, {where}", *map(_hosts, measured.sizes)]
        counted = ["commands per host", "round trips per host"]
        rows = [_row(measured, way, delay) for way in reversed(WAYS) if measured.rounds[way]]
        parts.append(table([*header, *counted], rows))
    rows = [list(row) for row in targets(measured)]
    parts.append(table(["target", "measured", ""], rows))
    return "\n\n".join(parts)


def targets(measured: Measured) -> Iterable[tuple[str, str, str]]:
    """Yield each target, what was measured, and whether that meets it."""
    for size in measured.sizes:
        for delay in measured.delays:
            most = 3 if size == 1 and not delay else 2
            if size in (1, 8, 16) or delay:
                what = f"{_where(size, delay)}: at most {most} times the floor"
                yield _target(what, measured.ratio(OURS, FLOOR, size, delay), most=most)
        least = {1: 20, 8: 50, 16: 50}.get(size)
        if least and 0 in measured.delays:
            what = f"{_where(size, 0)}: at least {least} times faster than Ansible"
            yield _target(what, measured.ratio(ANSIBLE_WAY, OURS, size, 0), least=least)
        if size == 1 and 0 in measured.delays:
            what = f"{_where(size, 0)}: at least 4 times faster than plain pyinfra"
            yield _target(what, measured.ratio(PYINFRA, OURS, size, 0), least=4)
    commands = len(measured.counted[OURS].commands)
    verdict = "met" if commands <= MOST_COMMANDS else "**not met**"
    yield f"at most {MOST_COMMANDS} commands per host", str(commands), verdict


def _row(measured: Measured, way: str, delay: int) -> list[str]:
    cells = [f"**{way}**" if way == OURS else way]
    for size in measured.sizes:
        seconds, ratio = (
            measured.median(way, size, delay),
            measured.ratio(way, FLOOR, size, delay),
        )
        shown = "" if seconds is None else f"{seconds:.2f}"
        cells.append(shown if ratio is None or way == FLOOR else f"{shown} ({ratio:.1f})")
    counted = measured.counted.get(way)
    numbers = [len(counted.commands), counted.round_trips] if counted else ["", ""]
    return [*cells, *map(str, numbers)]


def _target(
    what: str, found: float | None, most: float | None = None, least: float | None = None
) -> tuple[str, str, str]:
    if found is None:
        return what, "not measured", ""
    met = (most is None or found <= most) and (least is None or found >= least)
    return what, f"{found:.2f}" if most else f"{found:.1f}", "met" if met else "**not met**"


def _where(size: int, delay: int) -> str:
    return _hosts(size) + (f", {2 * delay} ms of round trip" if delay else "")


def _hosts(size: int) -> str:
    return "1 host" if size == 1 else f"{size} hosts"
