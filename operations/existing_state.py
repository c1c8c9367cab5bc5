"""What the state directory holds before the deployment's first gateway: somebody's own OpenClaw.

A user may name it (`directories.config`, `OPENCLAW_CONFIG_DIR`). What the gateway could not read,
or would not find any more, is said before anything is touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from operations import access, container_user, preflight, snapshot, templates
from operations.preflight import Problem
from toolkit.settings import Settings

KEPT = "openclaw.json.before-doctor"
"""Beside openclaw.json: what it was before OpenClaw's own doctor rewrote it, once for each time."""
CONFIG, OLD_CONFIG = "openclaw.json", "clawdbot.json"
LOOKED_AT = (CONFIG, OLD_CONFIG, "agents", "credentials", "state")


@dataclass(frozen=True)
class Existing:
    """The owners of what is in the state directory by name; `hidden`: its workspace has files, and
    the configured one has none; `kept`: how often the doctor rewrote openclaw.json.
    """

    owners: dict[str, str]
    hidden: bool = False
    kept: int = 0

    @classmethod
    def parse(cls, text: str) -> Existing:
        owners, hidden, kept = {}, False, 0
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            name, _, owner = rest.partition(" ")
            if word == "entry" and name in LOOKED_AT:
                owners[name] = owner
            hidden |= word == "hidden"
            kept += word == "kept"
        return cls(owners, hidden, kept)


def current() -> Existing:
    """Return what the snapshot of the current host knows."""
    return Existing.parse(snapshot.read().get("existing-state", ""))


@snapshot.probe("existing-state")
def existing_state_probe(settings: Settings) -> str:
    return templates.render(
        "openclaw/existing.sh.j2",
        config=settings.config_directory,
        workspace=settings.workspace_directory,
        names=LOOKED_AT,
        kept=KEPT,
    )


@preflight.check
def existing_state_problems(settings: Settings, answers: dict[str, str]) -> Iterable[Problem]:
    there = Existing.parse(answers.get("existing-state", ""))
    config = settings.config_directory
    if OLD_CONFIG in there.owners and CONFIG not in there.owners:
        yield Problem(
            f"{config} has {OLD_CONFIG} and no {CONFIG}: OpenClaw would not read it any more once"
            " there is one, and its channels and agents would be gone",
            f"give it its name of today: mv -n {config}/{OLD_CONFIG} {config}/{CONFIG}",
        )
    owner = access.owner(settings)
    readers = {owner, f"{access.CONTAINER_USER}:{access.CONTAINER_USER}"}
    if moving := container_user.moving(settings, owner):
        readers.add(moving)
    users = {reader.partition(":")[0] for reader in readers}
    others = {name: uid for name, uid in there.owners.items() if uid not in users}
    if others:
        yield Problem(
            f"directories.config: {', '.join(sorted(others))} in {config} belong to uid"
            f" {', '.join(sorted(set(others.values())))}, and the gateway, uid"
            f" {owner.partition(':')[0]}, could not use them",
            "stop what uses them, and give them to the gateway or copy them to a directory of its"
            f" own: chown -hR {owner} {config}",
        )
    if there.hidden:
        yield Problem(
            f"{config}/workspace has files that the gateway would not see, for"
            f" {settings.workspace_directory}, which is empty, is mounted over it",
            f"set directories.workspace to {config}/workspace, or move the files to"
            f" {settings.workspace_directory}",
        )
