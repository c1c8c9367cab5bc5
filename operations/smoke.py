"""OpenClaw's own smoke tests, on the image that is deployed: onboarding into a fresh state, a
gateway that becomes ready, a turn with the scripted model, a QR code that is drawn.

All of it is in one container that has no network and nothing of the deployment or of the host.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from operations.base import snapshot, templates
from operations.base.answers import printable
from operations.base.check import Check
from operations.base.waits import waiting
from operations.engine_access import EngineWay
from operations.gateway import form
from operations.sandbox.proof import scripted_gateway
from toolkit import patterns
from toolkit.settings import Settings, settings_for
from toolkit.settings.types import memory_bytes

GROUP = "smoke test"
AGENT = "main"
OTHER_SECONDS = 300
"""How long all but the gateway's start and its turn may take."""
NEEDED_BYTES = 3 << 29
REPLY = "turn is over"
"""What the scripted model says last (`templates/sandbox/turn.mjs`)."""
_FINDER = re.compile("▄▄▄▄▄▄▄.*▄▄▄▄▄▄▄|█▀▀▀▀▀█.*█▀▀▀▀▀█")
"""The upper two of the squares by which a QR code is found: dark on light, and the reverse."""
_SEQUENCE = re.compile("\x1b\\[[0-9;]*m")
_LOWEST, _WIDEST = 12, 80
"""Lines and columns: the smallest QR code of half blocks, and a terminal."""


def look(host: Host) -> list[Check]:
    """Return the checks of a host's smoke test; it takes a minute and 1.5 GB of memory."""
    settings = settings_for(host)
    nonce = secrets.token_hex(8)
    try:
        with waiting("onboarding, a gateway, a turn and a QR code in a container of their own"):
            return snapshot.ask_several(
                host,
                script(settings, nonce),
                lambda answers: results(answers, nonce),
                seconds(settings) + 180,
            )
    except PyinfraError as error:
        return [Check("container", "failed", str(error), GROUP)]


def container(settings: Settings) -> str:
    """Return the container's name, which no deployment's can be: those have no dot."""
    return f"{settings.name}.smoke"


def seconds(settings: Settings) -> int:
    gateway = settings.gateway
    others = gateway.patience(scripted_gateway.TURN_SECONDS + OTHER_SECONDS)
    return gateway.ready_timeout + others


def script(settings: Settings, nonce: str) -> str:
    """Return the script that does all of it on the host."""
    limited = EngineWay(settings).limits
    memory, pids = settings.gateway.memory, settings.gateway.pids_limit
    return templates.render(
        "openclaw/smoke.sh.j2",
        docker=form.shell(settings),
        base=f"/var/lib/{settings.name}",
        container=container(settings),
        needed=min(NEEDED_BYTES, memory_bytes(memory)),
        limits=["--memory", memory, "--pids-limit", str(pids)] if limited else [],
        seconds=seconds(settings),
        configuration=scripted_gateway.configuration({}, settings),
        plan={
            "port": scripted_gateway.GATEWAY_PORT,
            "modelPort": scripted_gateway.MODEL_PORT,
            "turns": [{"agent": AGENT, "page": None}],
            "command": f"echo {nonce}",
            "readySeconds": settings.gateway.ready_timeout,
            "turnSeconds": settings.gateway.patience(scripted_gateway.TURN_SECONDS),
        },
        turn=templates.render("sandbox/turn.mjs"),
        inside=templates.render("openclaw/smoke_inside.sh"),
    )


def results(answers: Mapping[str, str], nonce: str) -> list[Check]:
    """Return the checks of what was said under each mark; all of it was said by the image."""
    if "onboarding" not in answers:
        why = answers.get("container", "").strip() or "it said nothing"
        return [_check("container", f"it does not start: {why}")]
    onboarding = answers["onboarding"].strip()
    found = [_check("onboarding", "" if onboarding == "ok" else onboarding or "it said nothing")]
    if "turn" in answers:
        found += _turn(answers["turn"], nonce)
    if "qr" in answers:
        found.append(_check("QR code", _drawn(answers["qr"])))
    if answers.get("ended", "").strip() != "0" and all(one.outcome == "ok" for one in found):
        found.append(_check("container", f"it ended with {answers.get('ended', '').strip()!r}"))
    left = answers.get("left", "").split()
    return [*found, _check("nothing left", f"these stay: {' '.join(left)}" if left else "")]


def _turn(said: str, nonce: str) -> list[Check]:
    try:
        driven = patterns.of_json(dict, (said.strip().splitlines() or [""])[-1], "a turn")
        (turn,) = driven["turns"]
        error, reply, log = driven["error"], turn["reply"], str(driven["log"])[-1500:]
        ready = float(driven["seconds"].get("ready", 0))
    except (patterns.MismatchError, LookupError, TypeError, ValueError, AttributeError):
        return [_check("gateway", f"it gave no answer that can be read: {said[-500:]}")]
    if error:
        return [_check("gateway", f"{error}; its log: {log}")]
    gateway = Check("gateway", "ok", "", GROUP, found=f"ready after {ready:.0f} s")
    if turn.get("error") or reply != REPLY:
        why = turn.get("error") or f"the model's last words did not arrive, but {reply!r}"
        return [gateway, _check("turn", f"{why}; its log: {log}")]
    ran = nonce in str(turn.get("results"))
    tool = "with a command" if ran else "without a command, which this release does not let it run"
    return [gateway, Check("turn", "ok", "", GROUP, found=f"taken, {tool}")]


def _drawn(said: str) -> str:
    """Return why there is no QR code in what was drawn."""
    lines = [_SEQUENCE.sub("", line).rstrip() for line in said.splitlines()]
    blocks = [line for line in lines if line and not set(line) - set(" █▀▄")]
    if len(blocks) < _LOWEST or not any(map(_FINDER.search, blocks)):
        return f"none is drawn: {said[-500:]}"
    if max(map(len, blocks)) > _WIDEST:
        return f"it is {max(map(len, blocks))} columns wide, and a terminal has {_WIDEST}"
    return ""


def _check(name: str, wrong: str) -> Check:
    detail = printable(wrong, 1500)
    return Check(name, "failed" if wrong else "ok", detail, GROUP)
