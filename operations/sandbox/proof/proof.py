"""Proof that agents' tools run in a sandbox, and that it is as closed as it was configured.

A second gateway, with the running one's hardening and a state directory of its own, takes a real
turn against a scripted model (`templates/sandbox/turn.mjs`); the sandbox that it makes is looked at
through the engine and, by the agent's own `exec`, from inside. The live gateway, its sessions, its
workspaces and its configuration are not touched, and nothing is left behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import PyinfraError

from operations import activation, engine_access
from operations.base import snapshot, templates
from operations.base.check import Check
from operations.base.waits import waiting
from operations.engine_access import EngineWay
from operations.gateway import confinement, form, host_secrets
from operations.sandbox import comparison
from operations.sandbox import deployed as deployed_form
from operations.sandbox.deployed import Deployed
from operations.sandbox.proof import inside, scripted_gateway
from operations.sandbox.seen import Driven
from operations.security import stage as security
from toolkit.settings import Settings
from toolkit.settings.sandbox import names
from toolkit.settings.types import memory_bytes

END_SECONDS = 300
"""How long a proof may take beside its turns: to look at the sandboxes, and to clean up."""
_PLACEHOLDER = "@PROOF_DIRECTORY@"


@snapshot.fact("proof")
@dataclass(frozen=True)
class State:
    """What a proof is about, beside the gateway: of what the last proof of this host was, and when,
    the ids of the sandbox images by tag, the digests of the kernel profiles by path, and the
    engine's version."""

    proved: str = ""
    when: str = ""
    images: dict[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    engine: str = ""

    @staticmethod
    def script(settings: Settings) -> str:
        if not settings.sandbox.enabled:
            return ""
        lines = [
            f"printf 'record '; cat {quote(record_path(settings))}; echo",
            f"sha256sum {quote(settings.security_directory)}/*.json | sed 's/^/profile /'",
            "of 'engine server='",
        ]
        for kind in names.kinds(settings.sandbox):
            lines.append(f"of {quote(f'tag {names.tag(settings.name, kind)} ')}")
        return "\n".join(lines)

    @classmethod
    def parse(cls, lines: list[str]) -> State:
        record: dict[str, Any] = {}
        images: dict[str, str] = {}
        profiles, engine = [], ""
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "record":
                with contextlib.suppress(ValueError):  # half a record is none
                    found = json.loads(rest)
                    record = found if isinstance(found, dict) else {}
            elif word == "tag":
                tag, _, images[tag] = rest.partition(" ")
            elif word == "profile":
                profiles.append(rest)
            elif word == "engine":
                engine = rest.removeprefix("server=")
        proved, when = str(record.get("digest", "")), str(record.get("time", ""))
        return cls(proved, when, images, tuple(profiles), engine)


def record_path(settings: Settings) -> str:
    """Return where a host keeps when, and of what, its last proof was."""
    return f"{base(settings)}/proof.json"


def base(settings: Settings) -> str:
    return f"/var/lib/{settings.name}"


def digest(settings: Settings) -> str:
    """Return the digest of all that a proof on the current host depends on."""
    there, known = activation.running(), snapshot.of(State)
    parts = [
        there.image,
        there.host_config,
        scripted_gateway.configuration(deployed(settings).configuration, settings),
        sorted(known.images.items()),
        sorted(known.profiles),
        known.engine,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def deployed(settings: Settings) -> Deployed:
    """Return what the current host's openclaw.json says of agents and sandboxes."""
    return deployed_form.of(host_secrets.read(settings).configuration())


def misformed(settings: Settings) -> list[Check]:
    """Return a check for each thing in openclaw.json that OpenClaw does not take there."""
    return [Check("sandbox policy", "failed", what) for what in deployed(settings).wrong]


def due(settings: Settings) -> bool:
    """Return whether the current host's sandboxes are not proved as they are now."""
    return settings.sandbox.enabled and snapshot.of(State).proved != digest(settings)


def proved(settings: Settings) -> Check | None:
    """Return the proof that the host has on record; None without one of this state."""
    if not settings.sandbox.enabled or due(settings):
        return None
    return Check("sandbox", "ok", f"proved by an agent's turn on {snapshot.of(State).when}")


def prove(settings: Settings) -> list[Check]:
    """Take a turn in a sandbox on the current host and return what was seen.

    Call it with the gateway running. It takes half a minute, and about 1.5 GB of memory.
    """
    wanted, nonce = digest(settings), secrets.token_hex(8)
    configuration = scripted_gateway.configuration(deployed(settings).configuration, settings)
    plan = scripted_gateway.plan(configuration, settings, nonce)
    seconds = _seconds(plan) + settings.gateway.patience(END_SECONDS)
    try:
        with waiting(f"turns of agents in their sandboxes ({len(plan['turns'])})"):
            told = script(settings, configuration, plan)
            seen = snapshot.ask_several(host, told, Driven.parse, seconds)
    except PyinfraError as error:
        return [Check("sandbox", "failed", f"no agent could take a turn: {error}")]
    checks = results(settings, configuration, plan, nonce, seen, EngineWay(settings).socket)
    if not any(check.outcome == "failed" for check in checks):
        record = {"digest": wanted, "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}
        snapshot.run_quietly(host, _record_script(settings, json.dumps(record)))
        snapshot.forget(host)
    return checks


def _record_script(settings: Settings, record: str) -> str:
    path = quote(record_path(settings))
    return f"umask 077; printf '%s\\n' {quote(record)} >{path}.new && mv -f {path}.new {path}"


def script(settings: Settings, configuration: dict[str, Any], plan: dict[str, Any]) -> str:
    """Return the script that has the turns taken on the host and prints what there is to see."""
    sandboxes = [comparison.policy(configuration, one["agent"]) for one in plan["turns"]]
    config = f"{_PLACEHOLDER}/config"
    places = confinement.Places(config, f"{config}/workspace", f"{_PLACEHOLDER}/auth")
    arguments = form.of(settings).run_arguments(settings, places, f"{_PLACEHOLDER}/environment")
    return templates.render(
        "sandbox/proof.sh.j2",
        docker=form.shell(settings),
        base=base(settings),
        container=f"{scripted_gateway.prefix(settings)}gateway",
        config=settings.config_directory,
        socket=EngineWay(settings).socket,
        files={
            "openclaw.json": json.dumps(configuration),
            "plan.json": json.dumps(plan),
            "turn.mjs": templates.render("sandbox/turn.mjs"),
        },
        body=None if arguments else _container(settings, plan),
        token=secrets.token_hex(32),
        arguments=arguments,
        placeholder=_PLACEHOLDER,
        seconds=_seconds(plan),
        images=sorted(
            {image for sandbox in sandboxes for image in scripted_gateway.images(sandbox)}
        ),
        profiles=sorted({path for one in sandboxes for path in profile_paths(settings, one)}),
    )


def _seconds(plan: dict[str, Any]) -> int:
    turns: int = len(plan["turns"]) * (plan["turnSeconds"] + 10)
    return int(plan["readySeconds"]) + turns + 30


def _container(settings: Settings, plan: dict[str, Any]) -> dict[str, Any]:
    there = activation.running()
    environment = {
        "HOME": "/home/node",
        "NODE_OPTIONS": f"--max-old-space-size={memory_bytes(settings.gateway.memory) // 2 >> 20}",
        "OPENCLAW_GATEWAY_TOKEN": secrets.token_hex(32),
    }
    return scripted_gateway.container(
        there.host_config, there.image, environment, _PLACEHOLDER, plan, there.user
    )


def profile_paths(settings: Settings, sandbox: dict[str, Any]) -> dict[str, str]:
    """Return the host paths of a policy's system call profiles, with the gateway's path of each."""
    found = {}
    for section in ("docker", "browser"):
        path = (sandbox.get(section) or {}).get("seccompProfile")
        if path and path.startswith(f"{security.SECURITY_IN_GATEWAY}/"):
            name = path.removeprefix(f"{security.SECURITY_IN_GATEWAY}/")
            found[f"{settings.security_directory}/{name}"] = path
    return found


def results(
    settings: Settings,
    configuration: dict[str, Any],
    plan: dict[str, Any],
    nonce: str,
    seen: Driven,
    socket: str,
) -> list[Check]:
    """Return the checks of what was seen; `socket` is the engine's on the host."""
    try:
        driven, containers = json.loads(seen.turns.splitlines()[-1]), json.loads(seen.containers)
    except (ValueError, IndexError):
        said = seen.failed or seen.turns or "it said nothing"
        return [Check("sandbox", "failed", f"the proof's gateway failed: {said[-1500:]}")]
    if driven["error"]:
        return [Check("sandbox", "failed", f"{driven['error']}; its log:\n{driven['log'][-1500:]}")]
    paths: dict[str, str] = {}
    for one in plan["turns"]:
        paths |= profile_paths(settings, comparison.policy(configuration, one["agent"]))
    around = comparison.Surroundings(
        images=seen.images,
        profiles={paths[path]: text for path, text in seen.profiles.items() if path in paths},
        sockets=frozenset({socket, *engine_access.DEFAULT_SOCKETS}),
        roots=(seen.directory,),
    )
    checks: list[Check] = []
    for taken in driven["turns"]:
        sandbox = comparison.policy(configuration, taken["agent"])
        checks += list(_of_turn(taken, sandbox, containers, around, nonce))
    if seen.left:
        checks.append(Check("sandbox", "failed", f"these stay behind: {' '.join(seen.left)}"))
    failed = [check for check in checks if check.outcome == "failed"]
    if failed and driven["log"]:
        checks.append(Check("sandbox", "unknown", f"the gateway said:\n{driven['log'][-1500:]}"))
    return checks


def _of_turn(
    taken: dict[str, Any],
    sandbox: dict[str, Any],
    containers: list[dict[str, Any]],
    around: comparison.Surroundings,
    nonce: str,
) -> Iterable[Check]:
    agent = taken["agent"]
    group = f"sandbox of {agent}"
    if taken["error"]:
        yield Check("turn", "failed", taken["error"], group)
        return
    own = [one for one in containers if names.agent_of(one) in (agent, "shared")]
    tools = [one for one in own if not names.is_browser(one)]
    if not tools:
        yield Check("container", "failed", "the gateway made no sandbox", group)
        return
    for knob in comparison.compare(sandbox, tools[0], around):
        yield _check(knob, group)
    yield from inside.checks(taken, sandbox, nonce, group)
    if scripted_gateway.browsed(sandbox):
        group = f"browser of {agent}"
        found = [one for one in own if names.is_browser(one)]
        for knob in comparison.compare(sandbox, found[0], around, browser=True) if found else []:
            yield _check(knob, group)
        yield from inside.browser_checks(taken, nonce, group, bool(found))


def _check(knob: comparison.Knob, group: str) -> Check:
    detail = "" if knob.right else f"configured {knob.configured}, found {knob.found}"
    outcome = "ok" if knob.right else "failed"
    return Check(knob.name, outcome, detail, group, knob.configured, knob.found)  # type: ignore[arg-type]
