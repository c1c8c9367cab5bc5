"""Proof that the gateway is what was asked for; reads only and never counts as a change.

On a host where nothing changed, what the snapshot knows is enough. After a change the gateway is
also asked from outside and from inside, and unless only its compose files changed, OpenClaw's own
judges are heard (`config validate`, `security audit --deep`, `doctor`; docs: gateway/security).
Where agents have sandboxes of which the host has no proof as they are now, an agent takes a turn
in one. The results are left in the host's notes for the summary.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Generator, Iterable
from shlex import quote
from typing import Any

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import activation
from operations.base import notes, snapshot, templates
from operations.base.check import Check, Outcome, counting
from operations.base.operation import operation
from operations.base.waits import waiting
from operations.gateway import form, network
from operations.sandbox.proof import proof
from toolkit.settings import Settings

JUDGES_SECONDS = 900
"""They take 9 to 15 s of CPU in one process, minutes on a slow or busy machine."""
JUDGES_TOGETHER_SECONDS, ANSWER_SECONDS = 280, 100
"""Of these: all of them in one process, and each one asked by itself where that had no answer."""
FATAL = frozenset({"closed", "token"})
"""Checks whose failure ends the run: the gateway would be open to strangers."""
EXPECTED_AUDIT = frozenset({"gateway.trusted_proxies_missing", "gateway.trusted_proxy_auth"})
"""What the audit says of every gateway on the loopback without a proxy in front of it, which would
be set by `gateway.trusted_proxies`; and of every one that believes a proxy, as a reminder."""


def hardening(there: activation.Running, settings: Settings) -> Iterable[Check]:
    """Compare what runs, as the engine or systemd describes it, with what was asked for."""
    described, user, ports = there.host_config, there.user, there.ports
    pairs = form.of(settings).hardening(settings, described, user, ports)
    yield _same("hardening", pairs)


def from_snapshot(settings: Settings) -> list[Check]:
    """Return what can be said without asking the host again."""
    there = activation.running()
    if there.status != "running":
        return [Check("container", "failed", f"the gateway is {there.status or 'absent'}")]
    probes = [
        Check(name, "ok" if code == "200" else "failed", "" if code == "200" else f"HTTP {code}")
        for name, code in there.probes.items()
    ]
    return [*hardening(there, settings), *probes]


def parse(answer: str) -> list[Check]:
    """Return the checks of the script's answer."""
    checks = []
    judges = {"config_validate": _config_validate, "audit": _audit, "doctor": _doctor}
    for line in answer.splitlines():
        name, _, rest = line.strip().partition(" ")
        if name in judges:
            checks.append(_judged(name, rest, judges[name]))
        elif name:
            outcome, _, detail = rest.partition(" ")
            known: Outcome = (
                "ok" if outcome == "ok" else "failed" if outcome == "failed" else "unknown"
            )
            checks.append(Check(name, known, detail))
    return checks


def look(settings: Settings, ask: bool, judges: bool, prove: bool) -> list[Check]:
    """Return what is seen of the current host's gateway and of its agents' sandboxes.

    + ask: ask the gateway again, from outside and from inside, and with `judges` OpenClaw's own
    + prove: have an agent take a turn in a sandbox, whatever the host has on record
    """
    checks = from_snapshot(settings)
    running = activation.running().status == "running"
    if ask:
        command = f"sh -c {quote(script(settings, judges))}"
        heard = ", and OpenClaw's judges: config validate, security audit, doctor" if judges else ""
        patience = settings.gateway.patience(JUDGES_SECONDS)
        with waiting(f"the gateway's answers from outside and inside{heard}"):
            answer = snapshot.read_quietly(host, command, patience)
        asked = parse(answer)
        names = {check.name for check in asked}
        checks = [check for check in checks if check.name not in names] + asked
    if running and settings.sandbox.enabled:
        recorded = None if prove else proof.proved(settings)
        checks += proof.misformed(settings)
        checks += [recorded] if recorded else proof.prove(settings)
    return checks


def due(settings: Settings) -> bool:
    """Return whether there is something to look at on a host on which nothing changes.

    If not, the proof of its sandboxes that the host has on record is kept for the summary.
    """
    if activation.running().status != "running" or not settings.sandbox.enabled:
        return False
    found = notes.of(host).proved = proof.proved(settings)
    return found is None


def fatal(check: Check) -> bool:
    """Return whether a check says that the gateway is open to strangers, or its sandboxes are."""
    of_sandbox = check.name == "sandbox" or bool(check.group)
    return check.outcome == "failed" and (check.name in FATAL or of_sandbox)


@operation
def verified(settings: Settings) -> Generator:
    """Look at the running gateway and keep the results; fails if what must be closed is not.

    + settings: the settings of the host

    Where a new image has opened the gateway to strangers, what ran before is back.
    """
    if not host.state.is_executing:
        host.noop("verified after the run")
        return
    changed = notes.of(host).changed
    # The judges take seconds each, and what they judge is not in the compose files.
    judges = changed != [activation.INPUTS_CHANGED]
    checks = look(settings, ask=bool(changed), judges=judges, prove=False)
    notes.of(host).checks = checks
    if wrong := [f"{check.label}: {check.detail}" for check in checks if fatal(check)]:
        of_gateway = any(check.name in FATAL and fatal(check) for check in checks)
        number = activation.replaced(settings) if of_gateway else 0
        if number:
            yield from activation.back_to(settings, number)
            wrong.append("image and state of before are back")
        said = "\n".join(wrong)
        yield StringCommand(f"echo {quote(said)} >&2; exit 1")
    host.noop("the gateway was looked at")


def script(settings: Settings, judges: bool) -> str:
    """Return the script that looks at the gateway on the host, with OpenClaw's judges or not."""
    address = ipaddress.ip_address(settings.gateway.address)
    return templates.render(
        "openclaw/verify.sh.j2",
        docker=form.shell(settings),
        url=form.url(settings),
        port=settings.gateway.port,
        address=str(address),
        only_address=not address.is_unspecified,
        neighbour=network.neighbour(settings),
        judges=judges,
        seconds=settings.gateway.patience(ANSWER_SECONDS),
        judges_seconds=settings.gateway.patience(JUDGES_TOGETHER_SECONDS),
        together=templates.render("openclaw/judges.mjs"),
    )


@deploy("Verification")
def verify(settings: Settings) -> None:
    """Prove what was deployed."""
    verified(name="Verify the gateway", settings=settings)


def _same(name: str, pairs: dict[str, tuple[Any, Any]]) -> Check:
    wrong = [
        f"{key} is {is_now!r}, not {wanted!r}"
        for key, (is_now, wanted) in pairs.items()
        if is_now != wanted
    ]
    return Check(name, "failed" if wrong else "ok", "; ".join(wrong))


def _judged(name: str, answer: str, judge: Any) -> Check:
    try:
        return Check(name, *judge(json.loads(answer)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Check(name, "unknown", "OpenClaw gave no answer that can be read")


def _config_validate(answer: dict[str, Any]) -> tuple[Outcome, str]:
    said = [f"{item.get('path')}: {item.get('message')}" for item in answer.get("issues") or []]
    return ("ok", "") if answer["valid"] else ("failed", "; ".join(said) or "not valid")


def _audit(answer: dict[str, Any]) -> tuple[Outcome, str]:
    counted = [item for item in answer["findings"] if item["severity"] in ("critical", "warn")]
    findings = [item for item in counted if item["checkId"] not in EXPECTED_AUDIT]
    summary = answer["summary"]["critical"] + answer["summary"]["warn"]
    if not findings and summary <= len(counted):
        expected = f" but {', '.join(item['checkId'] for item in counted)}" if counted else ""
        return "ok", f"0 critical, 0 warn{expected}"
    said = [f"{item['severity']} {item['checkId']}: {item.get('title', '')}" for item in findings]
    return "failed", "; ".join(said)


def _doctor(answer: dict[str, Any]) -> tuple[Outcome, str]:
    said = [
        str(item.get("message", "")).partition("\n")[0] for item in counting(answer["findings"])
    ]
    return ("failed", "; ".join(said)) if said else ("ok", "")
