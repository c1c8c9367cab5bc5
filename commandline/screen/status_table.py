"""The table of `./claw status`."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from commandline.verbs.commands import Answer
from toolkit.terminal import said


def status_table(answers: dict[str, Answer]) -> Table:
    """Return the table of `./claw status`: a row for each host, or one host's as a column."""
    rows = {name: _status_row(answer) for name, answer in answers.items()}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    if len(rows) == 1:
        ((name, row),) = rows.items()
        table.add_column("Host")
        table.add_column(said(name), overflow="fold")
        for key, value in row.items():
            table.add_row(key, value)
        return table
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    for column in ("Host", *columns):
        table.add_column(column, overflow="fold")
    for name, row in rows.items():
        table.add_row(said(name), *(row.get(column, "") for column in columns))
    return table


def _status_row(answer: Answer) -> dict[str, Text]:
    if answer.error:
        return {"Gateway": said(answer.error, "red")}
    one = answer.value
    state = one["state"] or ("stopped" if one["deployed"] else "not deployed")
    since = f", since {one['started'][:19]}Z" if one["state"] == "running" else ""
    health = f" ({one['health']})" if one["health"] else ""
    ready = {True: ("yes", "green"), False: ("no", "red"), None: ("no", "yellow")}[one["ready"]]
    cells: dict[str, tuple[Any, str]] = {
        "Gateway": (f"{state}{health}{since}", ""),
        "Ready": ready,
        "OpenClaw": (one["openclaw"] or "", ""),
        "Deployment": (one["deployment"], ""),
        "Published": (", ".join(one["ports"]), ""),
        "Image": (short_digest(one["image"], one["image_digest"]), ""),
        "Docker": (f"{one['engine'] or 'none'}, Compose {one['compose'] or 'none'}", ""),
    }
    return {key: said(text, style) for key, (text, style) in cells.items()}


def short_digest(image: str | None, digest: str | None) -> str:
    """Return `image` with the first twelve digits of its digest."""
    if not image or not digest:
        return image or ""
    return f"{image} {digest.rpartition('sha256:')[2][:12]}"
