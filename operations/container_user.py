"""The user that the gateway's container and its sandboxes run as.

In a container of root's engine a uid is the same on the host, and uid 1000, which OpenClaw's images
have, is the first login of every cloud image there: it could read token and credentials of the
gateway from /proc. So a deployment has a uid that no account of the host has. It follows from the
deployment's name, so that hosts of a fleet can share images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from shlex import quote

from operations.base import files, preflight, snapshot
from toolkit import patterns
from toolkit.patterns import matched
from toolkit.settings import Settings

IMAGES = 1000
"""The user `node` of OpenClaw's images."""
FIRST, NUMBER, TRIED = 58000, 1900, 8
"""Above the logins and below what systemd and subordinate ids use (systemd: UIDS-GIDS)."""


@snapshot.fact("ids")
@dataclass(frozen=True)
class Ids:
    """The uids that deployments' states on a host have, by their directories, and which ids an
    account or a group has.
    """

    states: dict[str, int] = field(default_factory=dict)
    named: dict[int, str] = field(default_factory=dict)

    @staticmethod
    def script(settings: Settings) -> str:
        given = () if settings.gateway.uid is None else (settings.gateway.uid,)
        wanted = " ".join(map(str, (IMAGES, *candidates(settings.name), *given)))
        own = quote(settings.config_directory)
        return f"""state=$(stat -c %u {own} 2>/dev/null)
for kind in passwd group; do
  getent $kind {wanted} $state | while IFS=: read -r name _ number _; do
    echo "$kind $number $name"
  done
done
[ -z "$state" ] || echo "state $state "{own}
for other in /var/lib/*/config; do
  [ "$other" = {own} ] || [ ! -d "$other" ] || echo "state $(stat -c %u "$other") $other"
done"""

    @classmethod
    def parse(cls, lines: list[str]) -> Ids:
        states: dict[str, int] = {}
        named: dict[int, str] = {}
        for line in lines:
            kind, _, rest = line.partition(" ")
            number, _, name = rest.partition(" ")
            uid = int(matched(patterns.NUMBER, number, "an id"))
            if kind == "state":
                states[matched(patterns.TEXT, name, "a name")] = uid
            else:
                named.setdefault(uid, matched(patterns.TEXT, name, "a name"))
        return cls(states, named)

    def taken(self, directory: str) -> dict[int, str]:
        """Return the ids that are somebody else's than of the deployment with this state, and
        whose."""
        others = {uid: path for path, uid in self.states.items() if path != directory}
        return {**others, **self.named}


def candidates(name: str) -> list[int]:
    """Return the uids that a deployment of this name may have, in order."""
    start = int(hashlib.sha256(name.encode()).hexdigest(), 16) % NUMBER
    return [FIRST + start + number for number in range(TRIED)]


def chosen(deployment: str, directory: str, given: int | None) -> int:
    """Return the uid in a container of root's engine on the current host.

    + directory: the deployment's state
    + given: what the settings say
    """
    if given is not None:
        return given
    there = snapshot.of(Ids)
    state, taken = there.states.get(directory), there.taken(directory)
    if state is not None and ours(state) and state not in taken:
        return state
    free = [uid for uid in candidates(deployment) if uid not in taken]
    return free[0] if free else IMAGES


def ours(uid: int) -> bool:
    """Return whether a uid is one that deployments have."""
    return FIRST <= uid < FIRST + NUMBER + TRIED


def moving(directory: str, wanted: str) -> str | None:
    """Return the `uid:gid` of state that is yet to become that of `wanted`; the gateway that uses
    it has to be stopped first.
    """
    state = snapshot.of(Ids).states.get(directory)
    if state is None or not (ours(state) or state == IMAGES) or wanted == f"{state}:{state}":
        return None
    return f"{state}:{state}"


def account_files(project: str, uid: int) -> list[files.File]:
    """Return /etc/passwd and /etc/group of the container, in which its user has a name; they are
    kept in the project's directory."""
    people = (
        "root:x:0:0:root:/root:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        f"node:x:{uid}:{uid}::/home/node:/bin/sh\n"
    )
    groups = f"root:x:0:\nnogroup:x:65534:\nnode:x:{uid}:\n"
    return [files.File(f"{project}/passwd", people), files.File(f"{project}/group", groups)]


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [file.path for file in account_files(settings.project_directory, IMAGES)]


@preflight.check
def mounts_of_uid_1000(settings: Settings) -> Iterable[preflight.Problem]:
    """What the user mounts for the images' own uid is said; it stays his."""
    if settings.gateway.uid is not None:
        return
    uid = chosen(settings.name, settings.config_directory, None)
    if uid == IMAGES:
        return
    for mount in settings.extra_mounts:
        source = mount.split(":")[0]
        there = files.found(source)
        if there and there.owner.startswith(f"{IMAGES}:") and int(there.mode[-1]) & 5 != 5:
            yield preflight.Problem(
                f"extra_mounts: {source} belongs to uid {IMAGES}, and the gateway's uid is"
                f" {uid}, which may not use it",
                f"give others access, or keep the old uid: gateway.uid={IMAGES}",
                stops=False,
            )
