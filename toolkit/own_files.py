"""YAML that the toolkit itself has written (its lock, its tables), and the bounds of any YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 16 << 20
MOST_LEVELS = 100
MOST_UNFOLDED = 250_000
"""How many values aliases may stand for: two thousand hosts that share a hundred lines."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str) -> Any:
    """Return what a text says, read by libyaml where PyYAML comes with it: a tenth of the time.

    Raises:
        yaml.YAMLError: it is no YAML, or not within bounds.
    """
    bounded(text)
    return yaml.load(text, Loader=_LOADER)


def read(path: Path) -> str:
    """Return the text of a file that has a bound.

    Raises:
        OSError: it cannot be read, or is too large.
        UnicodeDecodeError: it is not UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(0, f"it has more than {MOST_BYTES >> 20} MiB")
    return data.decode()


def bounded(text: str) -> None:
    """Refuse what no parser should build: a few lines whose aliases unfold to gigabytes, and
    nesting that exhausts a stack. What is no YAML is left for the parser to say.

    Raises:
        yaml.MarkedYAMLError: it is not within bounds; with the line.
    """
    anchors: dict[str, int] = {}
    levels: list[tuple[str | None, int]] = []
    size = unfolded = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                own = anchors.get(event.anchor or "", 1)
                size, unfolded = size + own, unfolded + own
                if unfolded > MOST_UNFOLDED:
                    raise _Unbounded(f"aliases stand for more than {MOST_UNFOLDED} values", event)
            elif isinstance(event, yaml.ScalarEvent):
                size += 1
                if event.anchor:
                    anchors[event.anchor] = 1
            elif isinstance(event, yaml.CollectionStartEvent):
                levels.append((event.anchor, size))
                size += 1
                if len(levels) > MOST_LEVELS:
                    raise _Unbounded(f"more than {MOST_LEVELS} levels are nested", event)
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, before = levels.pop()
                if anchor:
                    anchors[anchor] = size - before
    except _Unbounded:
        raise
    except yaml.YAMLError:
        return


class _Unbounded(yaml.MarkedYAMLError):
    def __init__(self, problem: str, event: Any) -> None:
        super().__init__(None, None, problem, event.start_mark)


def said(error: yaml.YAMLError, text: str) -> str:
    """Return what is wrong with a text in a line, and before it ` line N`, where that is known."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        context = f" ({error.context})" if error.context else ""
        return f"{f' line {mark.line + 1}' if mark else ''}: {error.problem}{context}"
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f" line {line}: {error.reason}"
    return f": {error}"
