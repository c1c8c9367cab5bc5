"""What the state directory holds before the deployment's first gateway: somebody's own OpenClaw.

A user may name it (`directories.config`, `OPENCLAW_CONFIG_DIR`). What the gateway could not read,
or would not find any more, is said before anything is touched.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from operations import engine_access
from operations.base import preflight, snapshot, templates
from operations.base.preflight import Problem
from operations.engine_access import EngineWay
from operations.gateway import host_secrets
from toolkit import merging
from toolkit.patterns import shown
from toolkit.settings import Settings
from toolkit.settings.contradictions.mounts import inside
from toolkit.settings.model import STATE
from toolkit.settings.types import parse_mount

KEPT = "openclaw.json.before-doctor"
"""Beside openclaw.json: what it was before OpenClaw's own doctor rewrote it, once for each time."""
CONFIG, OLD_CONFIG = "openclaw.json", "clawdbot.json"
PLACES = ("workspace", "agentDir")
"""What openclaw.json may say of an agent's files, as paths in the gateway's container."""


@snapshot.fact("existing-state")
@dataclass(frozen=True)
class Existing:
    """What is in the directories of the state.

    `entries`: which of the two files there are; `tops`: the uid of each of the `directories`, by
    its place among them; `owners`: by that and a uid a path inside that belongs to it. `hidden` and
    `hidden_home`: the workspace in the state directory, or the state in the home directory, has
    files, and what is mounted over it none. `kept`: how often the doctor rewrote openclaw.json.
    `deployed`: a gateway has been ready, and owners were not looked at.
    """

    entries: frozenset[str] = frozenset()
    tops: dict[int, str] = field(default_factory=dict)
    owners: dict[tuple[int, str], str] = field(default_factory=dict)
    hidden: bool = False
    hidden_home: bool = False
    kept: int = 0
    deployed: bool = False

    @staticmethod
    def script(settings: Settings) -> str:
        home = settings.home_volume or ""
        return templates.render(
            "openclaw/existing.sh.j2",
            config=settings.config_directory,
            workspace=settings.workspace_directory,
            home=home if home.startswith("/") else None,
            names=(CONFIG, OLD_CONFIG),
            kept=KEPT,
            good=f"{settings.project_directory}/last-good/image",
            directories=list(directories(settings)),
            # The engine has made them, as root.
            mount_points=mount_points(settings),
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Existing:
        entries: set[str] = set()
        tops: dict[int, str] = {}
        owners: dict[tuple[int, str], str] = {}
        for line in lines:
            word, *rest = line.split(" ", 3)
            if word == "entry" and rest and rest[0] in (CONFIG, OLD_CONFIG):
                entries.add(rest[0])
            elif word in ("top", "owner") and len(rest) > 1 and f"{rest[0]}{rest[1]}".isdecimal():
                if word == "top":
                    tops[int(rest[0])] = rest[1]
                else:
                    owners.setdefault((int(rest[0]), rest[1]), "".join(rest[2:]))
        return cls(
            frozenset(entries),
            tops,
            owners,
            "hidden" in lines,
            "hidden-home" in lines,
            lines.count("kept"),
            "deployed" in lines,
        )


def directories(settings: Settings) -> dict[str, str]:
    """Return the directories that a user may have filled, each with its setting; none is inside
    another.
    """
    found = {
        settings.config_directory: "directories.config",
        settings.workspace_directory: "directories.workspace",
        settings.auth_directory: "directories.auth",
    }
    return {
        path: key
        for path, key in found.items()
        if not any(path != other and inside(path, other) for other in found)
    }


def mount_points(settings: Settings) -> list[str]:
    """Return the places in the state directory that something else is mounted on."""
    targets = [parse_mount(mount).target for mount in settings.extra_mounts]
    return [
        settings.config_directory + target.removeprefix(STATE)
        for target in targets
        if inside(target, STATE)
    ]


@preflight.check
def existing_state_problems(settings: Settings) -> Iterable[Problem]:
    there = snapshot.of(Existing)
    config = settings.config_directory
    if OLD_CONFIG in there.entries and CONFIG not in there.entries:
        yield Problem(
            f"{config} has {OLD_CONFIG} and no {CONFIG}: OpenClaw would not read it any more once"
            " there is one, and its channels and agents would be gone",
            f"give it its name of today: mv -n {config}/{OLD_CONFIG} {config}/{CONFIG}",
        )
    yield from owner_problems(settings, there)
    if there.hidden:
        yield Problem(
            f"{config}/workspace has files that the gateway would not see, for"
            f" {settings.workspace_directory}, which is empty, is mounted over it",
            f"set directories.workspace to {config}/workspace, or move the files to"
            f" {settings.workspace_directory}",
        )
    if there.hidden_home:
        yield Problem(
            f"home_volume: {settings.home_volume}/.openclaw has files that the gateway would not"
            f" see, for {config}, which is empty, is mounted over it",
            f"set directories.config to {settings.home_volume}/.openclaw, or move the files to"
            f" {config}",
        )


def owner_problems(settings: Settings, there: Existing) -> Iterable[Problem]:
    """Say which files in the directories would be neither the gateway's nor given to it."""
    owner = EngineWay(settings).owner()
    own = EngineWay(settings).own_engine
    moving = EngineWay(settings).moving
    for number, (directory, key) in enumerate(directories(settings).items()):
        top = there.tops.get(number)
        usable = {owner.partition(":")[0]}
        # The activation gives it away with all that has the same owner.
        if moving and top and top == moving.partition(":")[0]:
            usable.add(top)
        found = {uid: path for (at, uid), path in there.owners.items() if at == number}
        others = {uid: path for uid, path in found.items() if uid not in usable}
        if not others:
            continue
        named = ", ".join(f"{shown(path)} to uid {uid}" for uid, path in sorted(others.items()))
        unknown = own and not snapshot.of(engine_access.Access).subuid
        yield Problem(
            f"{key}: files in {directory} belong to others than the gateway ({named}), uid"
            f" {'of the engine that is yet to be made' if unknown else owner.partition(':')[0]},"
            " which could not use them",
            "deploy first with a directory of the deployment's own, and copy them there"
            if unknown
            else "stop what uses them, and give them to the gateway or copy them to a directory of"
            f" its own: chown -hR {owner} {directory}",
        )


def place_problems(settings: Settings) -> Iterable[Problem]:
    """Say which agents have their files where the gateway's container has nothing of the host."""
    try:
        there = merging.merge(host_secrets.read(settings).configuration(), settings.openclaw)
    except host_secrets.UnreadableFile:
        return  # reported with the gateway's configuration
    deployed = snapshot.of(Existing).deployed
    roots = [STATE, "/tmp", *(parse_mount(mount).target for mount in settings.extra_mounts)]
    roots += ["/home/node"] if settings.home_volume else []
    for key, path in agent_places(there):
        whole = posixpath.normpath(path.replace("~", "/home/node", 1) if path[0] == "~" else path)
        known = any(whole == root or inside(whole, root) for root in roots)
        if whole.startswith("/") and not known:
            yield Problem(
                f"{host_secrets.config_path(settings)}: {key} is {shown(path)}, where the gateway's"
                " container has nothing of the host and may not write",
                f"set it to {STATE}/..., which is {settings.config_directory} on the host"
                f" ({STATE}/workspace is {settings.workspace_directory}), or mount it with"
                " extra_mounts",
                stops=not deployed,
            )


def agent_places(configuration: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the dotted key and path of each place of agents' files that is named."""
    agents = configuration.get("agents")
    if not isinstance(agents, Mapping):
        return
    entries, listed = agents.get("entries"), agents.get("list")
    found = [("agents.defaults", agents.get("defaults"))]
    if isinstance(entries, Mapping):
        found += [(f"agents.entries.{shown(name)}", one) for name, one in entries.items()]
    if isinstance(listed, list):
        found += [(f"agents.list[{number}]", one) for number, one in enumerate(listed)]
    for key, one in found[:200]:
        if not isinstance(one, Mapping):
            continue
        for name in PLACES:
            if isinstance(path := one.get(name), str) and path:
                yield f"{key}.{name}", path
