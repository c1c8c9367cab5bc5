"""A backup becomes the deployment's state again; what it replaces stays beside it.

It is one script on the host (`templates/lifecycle/restore.sh.j2`): all is unpacked and looked at
before the gateway stops, directories are swapped by their names, and if the gateway does not become
ready, what was there before is back. OpenClaw's own words for what that means are in its
documentation (install/backups, "Restore a full archive").
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from shlex import quote
from weakref import WeakKeyDictionary

from pyinfra import host
from pyinfra.api.deploy import deploy
from pyinfra.api.state import State

from operations import activation, upgrade
from operations.backup import listing, stage
from operations.base import files, notes, snapshot, templates
from operations.base.answers import printable
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.gateway import form
from operations.lifecycle import power
from toolkit import patterns
from toolkit.settings import Settings

COMMAND_SECONDS = 6 * 3600
LATEST = "latest"
_CHOSEN = "openclaw_backup"
"""Key of `host.connector_data`: the manifest of what is restored."""
TIME_TRAVEL = (
    "channels with ratchets, WhatsApp above all, may have to be linked again",
    "approvals and deliveries go back too: look at what is pending",
    "plugins' own packages are not in it: openclaw plugins update",
)
"""What OpenClaw says of a restored archive."""


@dataclass(frozen=True)
class Manifest:
    """A backup as its manifest says, and what the state holds now; counts by what is counted."""

    id: str
    deployment: str
    created: str
    release: str
    running: str
    bytes: int
    room: int
    counts: dict[str, int | None]
    now: dict[str, int | None]

    @classmethod
    def parse(cls, text: str) -> Manifest:
        """Return what `backup.sh show` says; raises MismatchError if it is not of its form."""
        said = dict(line.partition(" ")[::2] for line in text.splitlines())
        found = patterns.of_json(dict, said.get("manifest", ""), "a backup's manifest")
        return cls(
            patterns.matched("[0-9a-f]{8,64}", said.get("id"), "the id of a backup"),
            patterns.matched(patterns.NAME, found.get("deployment"), "a deployment"),
            patterns.matched(patterns.TIME, found.get("created"), "the time of a backup"),
            patterns.matched(f"({patterns.VERSION})?", found.get("release"), "a release"),
            printable(said.get("release", ""))[:80],
            _number(said, "bytes"),
            _number(said, "room"),
            _counts(found.get("counts")),
            _counts(patterns.of_json(dict, said.get("now") or "{}", "what the state holds")),
        )

    @property
    def newer(self) -> bool:
        """Whether it is of a later release than that which runs here."""
        return upgrade.earlier(self.running, self.release)


_chosen: WeakKeyDictionary[State, str] = WeakKeyDictionary()


def choose(state: State, snapshot_id: str) -> None:
    """Have a run restore that backup; LATEST: each host's newest."""
    _chosen[state] = snapshot_id


def chosen() -> str:
    """Return the backup that is restored on the current host."""
    return _chosen.get(host.state, LATEST)


def problems(settings: Settings) -> Iterable[Problem]:
    """Say why nothing can be restored here."""
    there = activation.running()
    if settings.backup.repository is None:
        yield Problem("backup.repository is not set", "name the repository and its password")
        return
    if any(files.differs(file) for file in stage.wanted(settings)[:1]):
        yield Problem("backups are not set up here as the settings say", "./claw up does that")
        return
    if not there.status:
        yield Problem("there is no gateway to restore into", "./claw up makes it")
        return
    if activation.CANDIDATE in there.unfinished:
        yield activation.SWAP_INTERRUPTED
        return
    shown = snapshot.run_quietly(
        host, f"sh {quote(stage.program(settings))} show {quote(chosen())}", listing.LIST_SECONDS
    )
    manifest = host.connector_data[_CHOSEN] = Manifest.parse(shown)
    for other in host.state.inventory:
        theirs = other.connector_data.get(_CHOSEN)
        if other.name != host.name and theirs and theirs.id == manifest.id:
            yield Problem(
                f"backup {manifest.id} is what {other.name} gets in this run, too: two gateways"
                " would answer to the same token, devices and channels",
                "one host at a time (--limit), each with its own (--backup)",
            )
    if manifest.deployment != settings.name:
        yield Problem(
            f"backup {manifest.id} is of the deployment {manifest.deployment}, not {settings.name}",
            "choose one of ./claw backups",
        )
    if 2 * manifest.bytes > manifest.room:
        wanted, free = (f"{one / (1 << 20):.0f} MiB" for one in (2 * manifest.bytes, manifest.room))
        yield Problem(
            f"backup {manifest.id} wants {wanted} for a while beside what is there, and {free} are"
            f" free where {settings.config_directory} is",
            "free disk on the host",
        )
    if manifest.newer:
        yield Problem(
            f"backup {manifest.id} is of release {manifest.release}, later than"
            f" {manifest.running or 'what runs here'}, which cannot read it",
            f"--set gateway.version={manifest.release} with ./claw up, then restore",
        )


@operation
def restored(settings: Settings) -> Generator:
    """Replace state, workspace, key of the auth profiles and `.env` by those of the backup.

    + settings: the settings of the host
    """
    manifest: Manifest = host.connector_data[_CHOSEN]
    notes.of(host).plan += _plan(settings, manifest)
    path, text = f"{settings.project_directory}/run/restore.sh", script(settings, manifest.id)
    yield files.script_command(path, text, "restore", _timeout=COMMAND_SECONDS)
    notes.of(host).outcome += [
        power.last_line(settings, "restore"),
        *TIME_TRAVEL,
        "./claw up brings the credentials of the inventory, and proves the gateway",
    ]


@deploy("Restore")
def restore(settings: Settings) -> None:
    """Restore a backup."""
    restored(name="Restore the backup", settings=settings)


def script(settings: Settings, snapshot_id: str) -> str:
    """Return the script that restores a backup on the host."""
    state, workspace = settings.state_in_gateway, settings.workspace_in_gateway
    return templates.render(
        "lifecycle/restore.sh.j2",
        job="restore",
        **form.script_variables(settings),
        id=snapshot_id,
        config=settings.config_directory,
        workspace=settings.workspace_directory,
        auth=settings.auth_directory,
        work=stage.work(settings),
        state_inside=state,
        workspace_inside=workspace,
        # archive root, "payload", "posix", and the path itself
        depth=3 + len(state.strip("/").split("/")),
        workspace_depth=3 + len(workspace.strip("/").split("/")),
    )


def _plan(settings: Settings, manifest: Manifest) -> Iterable[str]:
    yield (
        f"backup {manifest.id} of {manifest.created}, release {manifest.release or 'unknown'};"
        f" {manifest.running} runs here"
    )
    for name, number in manifest.counts.items():
        now = manifest.now.get(name)
        if now != number:
            yield f"{name.replace('_', ' ')}: {now if now is not None else 'unknown'} → {number}"
    yield f"what is there stays: {settings.config_directory}.before-restore-TIME and beside it"
    yield "the gateway stops for the time that it takes to start; a running turn is finished first"
    yield from TIME_TRAVEL


def _number(said: dict[str, str], key: str) -> int:
    return int(patterns.matched(patterns.BYTES, said.get(key, "0"), key))


def _counts(found: object) -> dict[str, int | None]:
    pairs = found.items() if isinstance(found, dict) else ()
    return {
        name: number
        for name, number in pairs
        if re.fullmatch("[a-z_]{1,20}", name) and (number is None or type(number) is int)
    }
