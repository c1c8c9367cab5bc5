"""The sandboxes that run, and what of them is of an earlier image or policy.

OpenClaw compares a sandbox with the configuration only when an agent uses it next, keeps one that
was used in the last five minutes as it is, and sees neither an image that changed under its tag nor
a changed profile (docs: cli/sandbox, "Why recreate is needed"). Here the containers themselves are
compared; those that are idle are removed by OpenClaw's own `sandbox recreate`, which makes them
anew when they are needed, and those in use are named.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import Any

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy
from pyinfra.api.exceptions import PyinfraError

from operations import activation
from operations.base import notes, snapshot
from operations.base.notes import StaleSandbox
from operations.base.operation import operation
from operations.base.waits import waiting
from operations.configuration import stage as configuration
from operations.gateway import form, host_secrets
from operations.images.sandbox import stage as images
from operations.sandbox import comparison, deployed
from operations.sandbox.proof import scripted_gateway
from operations.security import seccomp
from operations.security import stage as security
from toolkit import merging
from toolkit.patterns import shown
from toolkit.settings import Settings
from toolkit.settings.sandbox import names

IN_USE_SECONDS = 300
"""OpenClaw's own window: it leaves a sandbox alone that was used more recently."""
COMMANDS_SECONDS = 900
"""What OpenClaw's command line may take for some calls, on a slow or busy machine."""
_IMAGE_CHANGES = "the image is about to be built anew"
# What the engine or OpenClaw decides, and not the policy.
_NOT_POLICY = frozenset({"mounts", "engine's socket", "shared namespaces", "devices"})
_FIELDS = ("Id", "Name", "Image", "AppArmorProfile", "HostConfig", "Mounts")


@dataclass(frozen=True)
class Sandbox:
    """A sandbox of the deployment: OpenClaw's key of it, its agent, why it is stale, if it is, and
    how long it was not used (None: not known)."""

    name: str
    key: str
    agent: str
    browser: bool
    image: str
    state: str
    reasons: tuple[str, ...] = ()
    idle_seconds: float | None = None

    @property
    def in_use(self) -> bool:
        """Whether OpenClaw itself would keep it: used a short while ago, or nobody knows."""
        if self.state != "running":
            return False
        return self.idle_seconds is None or self.idle_seconds < IN_USE_SECONDS


@snapshot.fact("sandboxes")
@dataclass(frozen=True)
class Containers:
    """The containers of sandboxes as the engine describes them, other deployments' as well; the ids
    of their images by tag."""

    described: tuple[dict[str, Any], ...] = ()
    images: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def script(settings: Settings) -> str:
        # Never .Config.Env: the browser's holds its passwords.
        fields = [f'"{field}":{{{{json .{field}}}}}' for field in _FIELDS]
        fields.append(
            '"State":{{json .State.Status}},"Config":{"User":{{json .Config.User}},'
            '"Image":{{json .Config.Image}},"Labels":{{json .Config.Labels}}}'
        )
        return f"""found=$(of 'sandbox ')
[ -n "$found" ] || exit 0
ids=$(echo "$found" | cut -d' ' -f2 | ids)
docker inspect -f 'sandbox {{{",".join(fields)}}}' $ids
docker inspect -f '{{{{.Config.Image}}}}' $ids | sort -u | while read -r tag; do
  ! id=$(image_id "$tag") || printf 'image %s %s\\n' "$tag" "$id"
done"""

    @classmethod
    def parse(cls, lines: list[str]) -> Containers:
        described, ids = [], {}
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "sandbox":
                described.append(_described(rest))
            elif word == "image":
                tag, _, identifier = rest.partition(" ")
                ids[tag] = identifier
        return cls(tuple(described), ids)


def all_of(settings: Settings) -> list[Sandbox]:
    """Return the sandboxes of the current host's deployment, the stale ones with their reasons."""
    there = snapshot.of(Containers)
    roots = (f"{settings.config_directory}/", f"{settings.workspace_directory}/")
    mine = [
        one for one in there.described if any(_under(source, roots) for source in _sources(one))
    ]
    if not mine:
        return []
    policy = _policy(settings)
    changing = images.pending(settings)
    around = comparison.Surroundings(images=there.images, profiles=_profiles())
    return [_sandbox(one, policy, around, changing) for one in mine]


def stale(settings: Settings) -> list[Sandbox]:
    """Return the stale sandboxes of the current host, with how long each was not used.

    Reads OpenClaw's own registry if there are any: a few seconds.
    """
    found = [one for one in all_of(settings) if one.reasons]
    if not found:
        return []
    idle = _idle(settings)
    return [replace(one, idle_seconds=idle.get(one.name)) for one in found]


@operation
def recreated(settings: Settings) -> Generator:
    """Remove the idle sandboxes of an earlier image or policy; OpenClaw makes them anew.

    + settings: the settings of the host

    What is in use stays, and the summary names it.
    """
    found = stale(settings)
    notes.of(host).stale = [
        StaleSandbox(one.name, one.agent, one.reasons) for one in found if one.in_use
    ]
    idle = [one for one in found if not one.in_use]
    if not idle:
        host.noop("no idle sandbox is of an earlier image or policy")
        return
    yield StringCommand("sh -s", _stdin=[recreate_script(settings, idle)])


@deploy("Sandboxes")
def recreate(settings: Settings) -> None:
    """Recreate idle sandboxes of an earlier image or policy."""
    recreated(name="Recreate idle sandboxes of an earlier image or policy", settings=settings)


def recreate_script(settings: Settings, sandboxes: list[Sandbox]) -> str:
    """Return the script that has OpenClaw remove sandboxes, whether in use or not."""
    lines = [*_in_gateway(settings), "code=0"]
    for one in sandboxes:
        words = ["sandbox", "recreate", *(["--browser"] if one.browser else [])]
        command = " ".join(quote(word) for word in [*words, "--session", one.key, "--force"])
        lines.append(f"inside {command} >/dev/null || code=1")
        # What OpenClaw has no record of, it does not remove.
        lines.append(f"docker rm -fv {quote(one.name)} >/dev/null 2>&1; echo {quote(one.name)}")
    return "\n".join([*lines, "exit $code"])


def _policy(settings: Settings) -> dict[str, Any]:
    """Return openclaw.json as it is after this run, as far as sandboxes are concerned."""
    there = host_secrets.read(settings).configuration()
    wanted = _without_absent(merging.merge(there, configuration.owned(settings, there)))
    return deployed.of(wanted).configuration


def _sandbox(
    container: Mapping[str, Any],
    policy: Mapping[str, Any],
    around: comparison.Surroundings,
    changing: set[str],
) -> Sandbox:
    agent, browser = names.agent_of(container), names.is_browser(container)
    wanted = comparison.policy(policy, agent)
    reasons = []
    if wanted.get("mode", "off") == "off":
        reasons.append("its agent has no sandbox any more")
    elif browser and not scripted_gateway.browsed(wanted):
        reasons.append("its agent has no sandboxed browser any more")
    else:
        reasons += [
            f"{knob.name} is {knob.found}, not {knob.configured}"
            for knob in comparison.compare(wanted, container, around, browser)
            if not knob.right and knob.name not in _NOT_POLICY
        ]
        if container["Config"]["Image"] in changing and not reasons:
            reasons.append(_IMAGE_CHANGES)
    return Sandbox(
        name=container["Name"].removeprefix("/"),
        key=container["Config"]["Labels"].get("openclaw.sessionKey", ""),
        agent=agent,
        browser=browser,
        image=container["Config"]["Image"],
        state=container["State"],
        reasons=tuple(reasons),
    )


def _idle(settings: Settings) -> dict[str, float]:
    """Return the seconds since OpenClaw last used its sandboxes, by container's name."""
    there = snapshot.read()
    kept: dict[str, float] | None = there.beside.get(Sandbox)
    if kept is not None:
        return kept
    found: dict[str, float] = {}
    if activation.running().status == "running":
        lines = ["date +%s", "inside sandbox list --json", "inside sandbox list --browser --json"]
        try:
            script = "\n".join([*_in_gateway(settings), *lines])
            with waiting("OpenClaw's list of sandboxes"):
                found = parse_idle(snapshot.run_quietly(host, script, COMMANDS_SECONDS))
        except PyinfraError:
            pass  # nobody knows: they count as in use
    there.beside[Sandbox] = found
    return found


def parse_idle(answer: str) -> dict[str, float]:
    """Return idle seconds by name from the host's clock and `openclaw sandbox list --json`."""
    clock, _, rest = answer.partition("\n")
    found: dict[str, float] = {}
    decoder = json.JSONDecoder()
    rest = rest.strip()
    while rest.startswith("{"):
        try:
            document, end = decoder.raw_decode(rest)
        except ValueError:
            break
        for entry in [*document.get("containers", []), *document.get("browsers", [])]:
            if isinstance(entry.get("lastUsedAtMs"), int | float):
                found[entry["containerName"]] = int(clock) - entry["lastUsedAtMs"] / 1000
        rest = rest[end:].strip()
    return found


def _in_gateway(settings: Settings) -> list[str]:
    return [
        form.shell(settings),
        'gateway_runs || { echo "the gateway does not run" >&2; exit 1; }',
        'inside() { gateway_exec timeout -k 5 100 openclaw "$@" </dev/null; }',
    ]


def _described(text: str) -> dict[str, Any]:
    """Return a container as `docker inspect` describes it, with what is read of every one."""
    found: dict[str, Any] = json.loads(text)
    texts = found["Name"], found["State"], found["Config"]["Image"]
    if not all(isinstance(one, str) for one in texts) or not found["Config"]["Labels"]:
        raise ValueError(f"{shown(text)} does not describe a sandbox")
    return found


def _profiles() -> dict[str, str]:
    """Return the text of the toolkit's profiles by their path in the gateway."""
    directory = security.SECURITY_IN_GATEWAY
    return {f"{directory}/seccomp-{kind}.json": seccomp.render(kind) for kind in security.KINDS}


def _sources(container: Mapping[str, Any]) -> list[str]:
    return [str(mount.get("Source") or "") for mount in container.get("Mounts") or []]


def _under(path: str, roots: tuple[str, ...]) -> bool:
    return f"{path}/".startswith(roots)


def _without_absent(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_absent(one) for key, one in value.items() if one is not None}
    return value
