"""`./claw status`: what runs on each host, and what wants attention."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from typing import Any, NoReturn

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from commandline import asking
from commandline.asking import Answer, Answers
from commandline.options import examples, fail, has_terminal, json_option, target_options
from commandline.screen import tables
from commandline.screen.given import Given
from operations.lifecycle import looking
from operations.lifecycle.status import Status, age
from toolkit import greenlets
from toolkit.terminal import said

WATCH_SECONDS = 20
"""How long a host has to answer while the others' table waits for it."""


@click.command(
    epilog=examples(
        "./claw status",
        "./claw status inventories/fleet.yml --json",
        "./claw status --check",
        "./claw status --watch",
    )
)
@target_options
@click.option("--check", is_flag=True, help="Exit with 2 where something wants attention.")
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C ends it.")
@click.option(
    "--every",
    type=click.IntRange(min=1, max=3600),
    default=5,
    metavar="SECONDS",
    help="How long after an answer --watch asks again (default 5).",
)
@json_option
def status(
    target: str | None, check: bool, watch: bool, every: int, as_json: bool, **options: Any
) -> None:
    """Show what runs, and what wants attention.

    Releases, backups, disk, updates and drift are told without a network from what the host and
    this machine have.

    \b
    Exit codes: 0 every gateway is ready, 1 one is not; with --check 2 where
    something wants attention.
    """
    given = Given.of(target, options)
    if watch:
        _watch(target, options, given, every, "--json" if as_json else "--check" if check else "")
    asking.run(
        target,
        options,
        looking.look,
        "Looking at what runs",
        show=lambda answers: _show(answers, given),
        failed=lambda found: not found.ready,
        wanting=lambda found: check and bool(found.attention),
        as_json=as_json,
        document=asdict,
    )


def _show(answers: Answers, given: Given) -> None:
    console = tables.screen(240)
    console.print(table(answers))
    for line in attention(answers, given):
        console.print(said(line, "yellow"))


def _watch(
    target: str | None, options: dict[str, Any], given: Given, every: int, other: str
) -> NoReturn:
    """Show the table again and again; ends with Ctrl-C alone (exit code 130)."""
    if other:
        raise click.UsageError(f"--watch and {other} are opposites: give one of them")
    console = tables.screen(240)
    if not (has_terminal() and console.is_terminal):
        fail("--watch shows a table that moves and needs a terminal; elsewhere: --json, --check")
    session = asking.opened(target, **options)
    question = partial(looking.look, seconds=WATCH_SECONDS)
    live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
    # Its last table stays, and the cursor is back before anything else is said.
    asking.at_interruption.insert(0, live.stop)
    for answers in asking.watch(session, question, "Looking at what runs"):
        if not live.is_started:
            live.start()
        moment = time.strftime("%H:%M:%S")
        live.update(view(answers, given, console.size.height, moment), refresh=True)
        greenlets.sleep(every)
    raise AssertionError("it has no end of its own")


def view(answers: Answers, given: Given, height: int, moment: str) -> Group:
    """Return what `--watch` shows on a terminal of that height: what is not ready first, if it is
    not all; `moment` is when it was answered.
    """
    room = max(2, height - 3)  # beside the table's head, what is left out, and the last line
    shown, names = answers, list(answers)
    if len(answers) > room:
        names.sort(key=lambda name: _fine(answers[name]))
        shown = {name: answers[name] for name in answers if name in names[:room]}
    parts: list[RenderableType] = [table(shown)]
    if left := names[len(shown) :]:
        ready = sum(_fine(answers[name]) for name in left)
        parts.append(said(f"and {len(left)} more, {ready} of them ready", "dim"))
    lines = attention(answers, given)
    rows = len(shown) if len(answers) > 1 else len(_all(next(iter(answers.values()))))
    room = max(0, room - rows - bool(left))
    parts += [said(line, "yellow", no_wrap=True, overflow="ellipsis") for line in lines[:room]]
    more = f"; {len(lines) - room} more lines want attention" if len(lines) > room else ""
    parts.append(said(f"{moment}{more}; Ctrl-C ends it", "dim", no_wrap=True))
    return Group(*parts)


def _fine(answer: Answer) -> bool:
    return not answer.error and answer.value.ready is True


def attention(answers: Answers, given: Given) -> list[str]:
    """Return a line for all that wants attention, with the hosts that it is about."""
    hosts: dict[str, list[str]] = {}
    for name, answer in answers.items():
        if answer.error:
            lines = [answer.error] if len(answers) > 1 else []
        else:
            lines = [f"{one.what}: {one.fix}" for one in answer.value.attention]
        for line in lines:
            hosts.setdefault(line, []).append(name)
    found = []
    for line, names in hosts.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        about = f"{', '.join(names[:3])}{more}: " if len(answers) > 1 else ""
        one = names[0] if len(names) == 1 else None
        found.append(f"{about}{given.completed(line, one)}")
    return found


def table(answers: Answers) -> Table:
    """Return the table of `./claw status`: a row for each host, or one host's as a column."""
    if len(answers) == 1:
        ((name, answer),) = answers.items()
        result = tables.plain("Host", said(name))
        for key, value in _all(answer).items():
            result.add_row(key, value)
        return result
    rows = {name: _few(answer) for name, answer in answers.items()}
    # What is the same everywhere, or nowhere, says nothing.
    names = {answer.value.deployment for answer in answers.values() if not answer.error}
    columns = [
        key
        for key in dict.fromkeys(key for row in rows.values() for key in row)
        if any(key in row and row[key].plain for row in rows.values())
        and (key != "Deployment" or len(names) > 1)
    ]
    result = tables.plain("Host", *columns)
    for name, row in rows.items():
        result.add_row(said(name), *(row.get(column, "") for column in columns))
    return result


def _all(answer: Answer) -> dict[str, Text]:
    """Return what is shown of one host alone."""
    if answer.error:
        return {"Gateway": said(answer.error, "red")}
    one: Status = answer.value
    since = f", since {one.started[:19]}Z" if one.state == "running" else ""
    health = f" ({one.health})" if one.health else ""
    ready = {True: ("yes", "green"), False: ("no", "red"), None: ("no", "yellow")}[one.ready]
    cells: dict[str, tuple[Any, str]] = {
        "Gateway": (f"{_state(one)}{health}{since}", ""),
        "Ready": ready,
        "OpenClaw": (one.openclaw or "", ""),
        "Deployment": (one.deployment, ""),
        "Published": (", ".join(one.ports), ""),
        "Image": (short_digest(one.image, one.image_digest), ""),
        "Docker": (f"{one.engine or 'none'}, Compose {one.compose or 'none'}", ""),
    }
    shown = {key: said(text, style) for key, (text, style) in cells.items()}
    of_host = {key: text for key, text in _of_host(one).items() if text.plain}
    watch = {"Watch": said(str(one.watch))} if one.watch else {}
    return shown | of_host | watch


def _few(answer: Answer) -> dict[str, Text]:
    """Return what is shown of one host among others: it fits into 80 columns."""
    if answer.error:
        return {"Gateway": said("no answer", "red")}
    one: Status = answer.value
    up = f", {age(one.up_seconds)}" if one.up_seconds is not None else ""
    gateway = (f"ready{up}", "green") if one.ready else (_state(one, ready=False), "red")
    return {
        "Gateway": said(*gateway),
        "OpenClaw": said(one.openclaw or ""),
        "Deployment": said(one.deployment),
        **_of_host(one),
    }


def _of_host(one: Status) -> dict[str, Text]:
    made, drilled = (one.backups.made, one.backups.drilled) if one.backups else (None, None)
    free = one.disk_free
    return {
        "Backup": said(age(made) if made is not None else "never" if one.backups else ""),
        "Drill": said(age(drilled) if drilled is not None else "never" if one.backups else ""),
        "Free disk": said("" if free is None else f"{free / (1 << 30):.0f} GiB"),
        "Watch": said(_watched(one)),
    }


def _watched(one: Status) -> str:
    """Return what is said among other hosts: what a gateway that is well, or stopped, has not."""
    quiet = one.watch is None or str(one.watch) in ("ready", "stopped")
    return "" if quiet else str(one.watch)


def _state(one: Status, ready: bool = True) -> str:
    if one.stopped_on_purpose and one.state != "running":
        return f"stopped on purpose, {one.stopped_on_purpose}" if ready else "stopped"
    if one.state == "running" and not ready:
        return "not ready"
    return one.state or ("stopped" if one.deployed else "not deployed")


def short_digest(image: str | None, digest: str | None) -> str:
    """Return `image` with the first twelve digits of its digest."""
    if not image or not digest:
        return image or ""
    return f"{image} {digest.rpartition('sha256:')[2][:12]}"
