"""What becomes of an installation that is taken over: its token, variables and openclaw.json as the
gateway's, and why it could not be taken over.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from operations import upgrade
from operations.base.answers import printable
from operations.base.preflight import Problem
from operations.configuration import stage as configuration
from operations.gateway import existing_state, host_secrets, includes
from operations.gateway.front import TOKEN
from operations.gateway.secrets import HEADER, SHORTEST_TOKEN, plaintext_token
from operations.lifecycle.installation import NAMES, Installation
from toolkit import dotenv, patterns
from toolkit.patterns import shown
from toolkit.settings import Settings
from toolkit.settings.contradictions.mounts import inside
from toolkit.settings.types import parse_mount

CONFIG, OLD_CONFIG = existing_state.CONFIG, existing_state.OLD_CONFIG
_OF_THE_PLACE = re.compile(
    r"(PATH|HOME|HOSTNAME|TERM|TMPDIR|USER|LOGNAME|SHELL|PWD|LANG|XDG_\w+|DBUS_\w+"
    r"|NODE_\w+|PNPM_\w+|COMPOSE_\w+|DOCKER_\w+|PLAYWRIGHT_\w+|OPENCLAW_(HOME|STATE_DIR|CONFIG_PATH|CONFIG_DIR"
    r"|WORKSPACE_DIR|PROFILE|IMAGE\w*|GATEWAY_(PORT|BIND)|BRIDGE_PORT"
    r"|SERVICE_\w+|SYSTEMD_\w+|CONTAINER\w*|EXTRA_MOUNTS|HOME_VOLUME|SANDBOX\w*|DOCKER_\w+|TZ"
    r"|AUTH_PROFILE_SECRET_DIR))"
)
"""Variables that say where and how the other one runs: ours are decided by the settings."""


def configuration_file(one: Installation) -> str:
    """Return the name of its configuration, '' if it has none."""
    return next((name for name in (CONFIG, OLD_CONFIG) if name in one.files), "")


def digest(one: Installation) -> str:
    return hashlib.sha256(one.files.get(configuration_file(one), b"")).hexdigest()


def configured(one: Installation) -> dict[str, Any]:
    """Return what its configuration says; raises UnreadableFile."""
    return host_secrets.Private(None, one.files.get(configuration_file(one))).own_configuration()


def moved(settings: Settings, one: Installation) -> list[tuple[str, str]]:
    """Return the places that have another path in the gateway: from, to; the longest first."""
    state, workspace = settings.state_in_gateway, settings.workspace_in_gateway
    pairs = {one.workspace_inside or f"{one.inside}/workspace": workspace, one.inside: state}
    if one.kind != "docker" and own_workspace(one):
        pairs[own_workspace(one)] = workspace
    ordered = sorted(pairs.items(), key=lambda pair: len(pair[0]), reverse=True)
    return [(old, new) for old, new in ordered if old and old != new]


def own_workspace(one: Installation) -> str:
    """Return the workspace that its configuration names in its user's home (`~/clawd` was once the
    default), '' if it is the usual one.
    """
    try:
        agents = configured(one).get("agents")
    except host_secrets.UnreadableFile:
        return ""
    defaults = agents.get("defaults") if isinstance(agents, dict) else None
    named = defaults.get("workspace") if isinstance(defaults, dict) else None
    old = f"{one.home}/clawd"
    return old if one.home and named in (old, "~/clawd") else ""


def workspace(one: Installation) -> str:
    """Return which of its parts is the workspace."""
    return "clawd" if own_workspace(one) else "workspace"


def sizes(one: Installation) -> dict[str, int | None]:
    """Return the KiB of what is copied, by its parts; None: not known."""
    return {
        name: one.sizes[name] for name in ("state", workspace(one), "auth") if name in one.sizes
    }


def as_ours(settings: Settings, one: Installation) -> str:
    """Return its configuration with the gateway's paths; raises UnreadableFile."""
    pairs = moved(settings, one)
    if one.home:
        pairs += [
            (f"~{old.removeprefix(one.home)}", new) for old, new in pairs if inside(old, one.home)
        ]
    else:
        pairs += [(old.replace("/home/node", "~", 1), new) for old, new in pairs]

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(below) for key, below in value.items()}
        if isinstance(value, list):
            return [renamed(below) for below in value]
        if isinstance(value, str):
            for old, new in pairs:
                if value == old or value.startswith(f"{old}/"):
                    return new + value[len(old) :]
        return value

    return json.dumps(renamed(configured(one)), indent=2, ensure_ascii=False) + "\n"


def given(one: Installation) -> dict[str, str]:
    """Return the variables that its gateway has, by their names of today."""
    found = dict(one.variables)
    if text := one.files.get("variables"):
        found |= _values(text)
    names = "|".join(name.upper() for name in NAMES)
    return {re.sub(f"^({names})_", "OPENCLAW_", key): value for key, value in found.items()}


def token(one: Installation) -> str | None:
    """Return the gateway's token; None: it has none, or it is said in openclaw.json itself."""
    known = _values(one.files.get(".env", b"")) | given(one)
    gateway = configured(one).get("gateway")
    auth = gateway.get("auth") if isinstance(gateway, dict) else None
    said = auth.get("token") if isinstance(auth, dict) else None
    name = said.get("id") if isinstance(said, dict) and said.get("source") == "env" else None
    if isinstance(said, str) and (reference := re.fullmatch(r"\$\{(\w+)\}", said)):
        name = reference[1]
    return known.get(name or TOKEN) or known.get(TOKEN)


def environment(one: Installation, there: str) -> str:
    """Return the text of `.env` with what its gateway was given; `there`: the text of now."""
    wanted = {
        key: value
        for key, value in given(one).items()
        if re.fullmatch(r"[A-Za-z_]\w{0,100}", key)
        and not _OF_THE_PLACE.fullmatch(key)
        and value
        and "\0" not in value
    }
    if its_own := token(one):
        wanted[TOKEN] = its_own
    return dotenv.edit(there or HEADER, wanted)


def problems(settings: Settings, one: Installation, free: list[int]) -> Iterable[Problem]:
    """Say why an installation cannot be taken over."""
    if one.gone:
        yield Problem(f"its state {one.state} is no directory", "see what has become of it")
        return
    for name, why in one.refused.items():
        yield Problem(f"{one.state}: {name}: {printable(why)}", "have its owner mend that")
    if one.refused:
        return
    if one.kind == "docker" and one.name == settings.name:
        yield Problem(
            f"its Compose project is {one.name}, as the deployment would be: Compose would take one"
            " for the other",
            "give the deployment another name, in the inventory or by --set name=NAME",
        )
    if not configuration_file(one):
        yield Problem(f"{one.state} has no {CONFIG}", "name another one (--source PATH)")
        return
    try:
        there = configured(one)
    except host_secrets.UnreadableFile as error:
        yield Problem(f"{one.state}/{configuration_file(one)}: {error}", "mend it first")
        return
    if includes.KEY.encode() in one.files[configuration_file(one)]:
        yield Problem(
            f"{one.state}/{configuration_file(one)} includes other files, which are not taken over",
            f"put what they say into it, without {includes.KEY}",
        )
    yield from _release_problems(settings, one, there)
    if one.used and not one.running:
        yield Problem(
            f"processes use {one.state} ({one.used}), and nothing known runs them",
            "stop them first: what is copied meanwhile would be torn",
        )
    if one.unreadable:
        yield Problem(
            f"whose it is may not read {shown(one.unreadable)} in it, which could not be copied",
            "give it to him (chown), or remove it",
        )
    yield from _room_problems(settings, one, free)
    yield from _kept_problems(settings, one, there)


def plan(settings: Settings, one: Installation) -> Iterable[str]:
    """Say what is taken over, how much is copied, and in which order."""
    there = configured(one)
    yield f"taken over: {one.shown}, {'running' if one.running else 'not running'}"
    copied = [f"{name} {(kib or 0) / 1024:.1f} MiB" for name, kib in sizes(one).items()]
    theirs = release(one, there) or "unknown"
    yield f"release {theirs} becomes {settings.gateway.version}; copied: {', '.join(copied)}"
    if one.port and (one.port != settings.gateway.port or one.address not in ("", "127.0.0.1")):
        yield (
            f"it is reached at {one.address or 'its host'} port {one.port}, the gateway at"
            f" {settings.gateway.address} port {settings.gateway.port}"
        )
    if token(one) is None and plaintext_token(there) is None:
        yield "it has no token: the gateway gets a new one (./claw token)"
    yield "order: images are built and all is prepared while it serves; it stops; its state is"
    yield "copied; the gateway starts and must become ready with no less in it; else it runs again"


def release(one: Installation, there: Mapping[str, Any]) -> str:
    """Return the latest release that is known to have written its state, '' if none is."""
    meta = there.get("meta")
    said = [*one.releases, meta.get("lastTouchedVersion") if isinstance(meta, dict) else None]
    known = [str(text) for text in said if patterns.matches(patterns.VERSION, text)]
    return max(known, key=patterns.numbers, default="")


def origins(settings: Settings, there: Mapping[str, Any]) -> list[str]:
    """Return the origins that it lets in and the settings do not; a loopback's go by the port."""
    value: Any = there
    for key in ("gateway", "controlUi", "allowedOrigins"):
        value = value.get(key) if isinstance(value, Mapping) else None
    named = [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
    return [
        text
        for text in named
        if text not in configuration.allowed_origins(settings.gateway, settings.exposure)
        and urlsplit(text).hostname not in ("localhost", "127.0.0.1", "::1")
    ]


def _release_problems(
    settings: Settings, one: Installation, there: Mapping[str, Any]
) -> Iterable[Problem]:
    theirs = release(one, there)
    if upgrade.earlier(settings.gateway.version, theirs):
        yield Problem(
            f"it is of release {theirs}, later than {settings.gateway.version}, which cannot read"
            " its state",
            f"--set gateway.version={theirs}",
        )


def _room_problems(settings: Settings, one: Installation, free: list[int]) -> Iterable[Problem]:
    unknown = [name for name, kib in sizes(one).items() if kib is None]
    if "state" not in one.sizes or unknown:
        yield Problem(
            f"its {', '.join(unknown) or 'state'} cannot be measured by its owner within 120 s",
            f"see whether its owner can read all of {one.state}",
        )
        return
    wanted = sum(kib or 0 for kib in sizes(one).values())
    if free and wanted * 1.1 > min(free):
        yield Problem(
            f"a copy of {wanted >> 10} MiB has no room in {settings.config_directory}:"
            f" {min(free) >> 10} MiB are free",
            "make room, or set directories.config",
        )


def _kept_problems(
    settings: Settings, one: Installation, there: Mapping[str, Any]
) -> Iterable[Problem]:
    """Say what would not be kept."""
    its_own = token(one) or plaintext_token(dict(there))
    if its_own and len(its_own) < SHORTEST_TOKEN:
        yield Problem(
            f"its token has {len(its_own)} characters; {SHORTEST_TOKEN} is the least",
            "give it a longer one first: openssl rand -hex 32",
        )
    if lacking := origins(settings, there):
        yield Problem(
            f"it lets in browsers of {', '.join(map(shown, lacking))}, and the settings do not",
            "add them to gateway.allowed_origins",
        )
    roots = [settings.state_in_gateway, "/tmp"]
    roots += [parse_mount(mount).target for mount in settings.extra_mounts]
    ours = json.loads(as_ours(settings, one))
    for key, path in existing_state.agent_places(ours):
        whole = posixpath.normpath(path.replace("~", "/home/node", 1) if path[0] == "~" else path)
        if not any(whole == root or inside(whole, root) for root in roots):
            yield Problem(
                f"{key} is {shown(path)}, outside of its state: that is not taken over",
                f"move it below {one.state} and set it so, or mount it with extra_mounts",
            )


def _values(text: bytes) -> dict[str, str]:
    try:
        return dotenv.values(dotenv.decode(text))
    except dotenv.DotenvError:
        return {}
