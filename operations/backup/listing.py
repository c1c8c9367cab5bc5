"""What a host says of the backups in its repository: `backup.sh list`."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote

from pyinfra.api.host import Host

from operations.backup import stage
from operations.base import snapshot
from operations.base.answers import printable
from toolkit import patterns
from toolkit.settings import Settings

LIST_SECONDS = 600
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"
_ID = "[0-9a-f]{8,64}"


@dataclass(frozen=True)
class Snapshot:
    """A backup: restic's id, the host, when it was made, release of OpenClaw, bytes before restic
    has compressed them."""

    id: str
    host: str
    created: str
    release: str
    bytes: int


@dataclass(frozen=True)
class Listing:
    """The backups of a deployment, oldest first, and how the newest attempts ended: `TIME ok ...`
    or `TIME failed WHY`; '' where there was none. `drill_failed` is later than `drilled`."""

    backups: tuple[Snapshot, ...]
    last: str = ""
    drilled: str = ""
    drill_failed: str = ""

    @property
    def healthy(self) -> bool:
        """Whether there is a backup, the newest attempt made one, and no drill failed since."""
        return bool(self.backups) and " ok " in self.last and not self.drill_failed


def command(settings: Settings, mode: str, up: str) -> str:
    """Return the shell line that runs the host's script; `up` is what sets backups up."""
    program = quote(stage.program(settings))
    missing = (
        f"no backups are set up in {settings.project_directory}: give backup.repository and"
        f" backup.password, then {up}"
    )
    return f"[ -e {program} ] || {{ echo {quote(missing)} >&2; exit 1; }}; sh {program} {mode}"


def ask(host: Host, settings: Settings, up: str, every: bool = False) -> Listing:
    """Return the backups of a host; `every`: those of the deployment on all hosts.

    Raises:
        PyinfraError: there are none, the repository cannot be read, or it says something else.
    """
    mode = "list all" if every else "list"
    script = f"sh -c {quote(command(settings, mode, up))}"
    return parse(snapshot.run_quietly(host, script, LIST_SECONDS))


def parse(text: str) -> Listing:
    """Return what the host's script says.

    Raises:
        MismatchError: it is not of its form.
    """
    said: dict[str, str] = {}
    snapshots: list[Snapshot] = []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("last", "drilled", "drill-failed"):
            said[word] = printable(rest)[:500]
        elif line.startswith("["):
            found = patterns.of_json(list, line, "restic's list of backups")
            snapshots = [_snapshot(one) for one in found]
    return Listing(
        tuple(sorted(snapshots, key=lambda one: one.created)),
        said.get("last", ""),
        said.get("drilled", ""),
        said.get("drill-failed", ""),
    )


def _snapshot(one: object) -> Snapshot:
    given = one if isinstance(one, dict) else {}
    tags = given.get("tags")
    words = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    values = dict(tag.partition("=")[::2] for tag in words)
    release, size = values.get("release", ""), values.get("bytes", "0")
    return Snapshot(
        patterns.matched(_ID, given.get("short_id"), "the id of a backup"),
        printable(str(given.get("hostname", "")))[:100],
        patterns.matched(_TIME, given.get("time"), "the time of a backup"),
        release if patterns.matches(patterns.VERSION, release) else "unknown",
        int(patterns.matched(patterns.BYTES, size, "the size of a backup")),
    )
