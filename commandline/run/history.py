"""What runs leave on the control machine: which hosts are unfinished, and timelines.

All of it is in `openclaw-pyinfra` of the user's state directory (XDG Base Directory
Specification), readable by the user alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commandline.results import RunResult
from commandline.targets import LOCAL
from toolkit import atomic

KEPT = 20
"""Timelines that are kept."""
KEPT_RUNS = 100
"""What is kept in numbers, for `./claw report`."""


@dataclass(frozen=True)
class KeptRun:
    """A run in numbers: `stages` are each one's seconds on the host where it took longest."""

    time: str
    owner: str
    outcome: str
    hosts: int
    seconds: float
    stages: dict[str, float]

    @classmethod
    def of(cls, document: dict[str, Any]) -> KeptRun:
        """Return what `keep_run` kept; raises anything where it did not."""
        stages: dict[str, float] = {}
        for one in document["stages"]:
            name, seconds = str(one["name"]), float(one["seconds"])
            stages[name] = max(stages.get(name, 0.0), seconds)
        return cls(
            str(document["time"]),
            str(document["owner"]),
            str(document["outcome"]),
            int(document["hosts"]),
            float(document["seconds"]),
            stages,
        )


def directory() -> Path:
    """Return the state directory; it need not exist."""
    given = os.environ.get("XDG_STATE_HOME", "")
    base = Path(given) if given.startswith("/") else Path("~/.local/state").expanduser()
    return base / "openclaw-pyinfra"


def identity(target: str | None) -> str:
    """Return what is the same for every way to write a target: a file by its absolute path."""
    if not target:
        return LOCAL
    path = Path(target)
    return str(path.resolve()) if path.suffix in (".yml", ".yaml", ".py") else target


def unfinished(target: str | None, say: Callable[[str], None]) -> list[str]:
    """Return the hosts of a target that their last run did not finish.

    A file that cannot be read, or is not what `note` writes, is told to `say` and counts as none.
    """
    path = _path(target)
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        names = noted["unfinished"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("no list of names")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not what a run leaves"
        say(f"{path}: {reason}; what the last run did not finish is not known")
        return []
    return names


def note(target: str | None, result: RunResult, say: Callable[[str], None]) -> None:
    """Remember the hosts that a run did not finish; those that it did not have stay as they were.

    Raises:
        OSError: the state directory cannot be written.
    """
    before = unfinished(target, say)
    names = [name for name in before if name not in result.hosts] + result.unfinished
    path = _path(target)
    if names:
        _write(path, json.dumps({"target": identity(target), "unfinished": names}) + "\n")
    else:
        path.unlink(missing_ok=True)


def keep_timeline(target: str | None, html: str, file: Path | None = None) -> Path:
    """Keep the timeline of a run that ends now, and return its path.

    Without a `file` it is one of the last 20 in the state directory.

    Raises:
        OSError: the file or the state directory cannot be written.
    """
    if file:
        _write(file, html)
        return file
    folder = directory() / "timelines"
    words = re.sub(r"[^A-Za-z0-9]+", "-", Path(target).stem if target else "local").strip("-")
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = folder / f"{moment}-{words[:40]}-{os.getpid()}.html"
    _keep(path, html, KEPT)
    return path


def keep_run(target: str | None, result: RunResult, owner: str, outcome: str) -> None:
    """Keep where the time of a run went that ends now: names of stages and numbers.

    Raises:
        OSError: the state directory cannot be written.
    """
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document = {
        "target": identity(target),
        "time": moment,
        "owner": owner,
        "outcome": outcome,
        "hosts": len(result.hosts),
        "seconds": round(time.monotonic() - result.started, 1),
        "stages": result.stages(),
    }
    name = f"{moment.translate({ord(c): None for c in '-:'})}-{os.getpid()}.json"
    _keep(directory() / "runs" / name, json.dumps(document) + "\n", KEPT_RUNS)


def last_runs(target: str | None, count: int) -> list[KeptRun]:
    """Return the last runs of a target on this machine, the latest first; of a file that is not
    what `keep_run` writes, nothing.
    """
    found = []
    for path in sorted((directory() / "runs").glob("*.json"), reverse=True):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["target"] == identity(target):
                found.append(KeptRun.of(document))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
        if len(found) == count:
            break
    return found


def _keep(path: Path, text: str, most: int) -> None:
    """Write a file, and drop the oldest of its kind beside it."""
    _write(path, text)
    for old in sorted(path.parent.glob(f"*{path.suffix}"))[:-most]:
        with suppress(OSError):  # another run drops it
            old.unlink()


def _path(target: str | None) -> Path:
    digest = hashlib.sha256(identity(target).encode()).hexdigest()[:16]
    return directory() / "unfinished" / f"{digest}.json"


def _write(path: Path, text: str) -> None:
    """Replace a file that is the user's alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic.replace(path, text, 0o600)
