"""The tailnet that a host is a machine of: what its tailscaled says, and whether a run came by it.

`tailscale status --json` is of Tailscale's ipn/ipnstate.Status, `tailscale serve status --json` of
its ipn.ServeConfig: https://tailscale.com/docs/reference/tailscale-cli
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from operations.base import snapshot, templates
from operations.base.preflight import Problem
from operations.nftables import RULES
from toolkit.settings import Settings

INTERFACE = "tailscale0"
SOURCE = "/etc/apt/sources.list.d/openclaw-tailscale.sources"
KEY = "/etc/apt/keyrings/openclaw-tailscale.asc"
RUNNING = "Running"
LOGGED_OUT = ("", "NoState", "NeedsLogin")
"""States from which a host gets only with a key; nothing is said by one without Tailscale."""


@snapshot.fact("tailnet")
@dataclass(frozen=True)
class Tailnet:
    """What a host says: the state of its tailscaled, its name there, whether that may have
    certificates, what is handed on by https, and to whom.

    `served` and `joined`: what the toolkit did for the deployment; `over`: this session came by the
    tailnet; `known`: it was in a tailnet before; `serving`: the gateway is answered by https there;
    `handlers`: targets by path; `forwarded`: the port is no web server's; `funnel`: it is open to
    all the world.
    """

    state: str = ""
    name: str = ""
    certificates: bool = False
    handlers: dict[str, str] = field(default_factory=dict)
    forwarded: bool = False
    funnel: bool = False
    words: frozenset[str] = frozenset()
    unreachable: str = ""

    @staticmethod
    def script(settings: Settings) -> str:
        tailscale = settings.exposure.tailscale
        return templates.render(
            "tailnet/probe.sh.j2",
            record=record(settings.name),
            interface=INTERFACE,
            domain=tailscale.name,
            source=SOURCE,
            url=tailscale.repository_url.rstrip("/"),
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Tailnet:
        pairs = [line.partition(" ")[::2] for line in lines]
        said = dict(pairs)
        status, serve = _object(said.get("status")), _object(said.get("serve"))
        port = _of(_of(serve, "TCP"), "443")
        handlers: dict[str, str] = {}
        for where, web in _of(serve, "Web").items():
            if where.endswith(":443"):
                paths = _of(web, "Handlers")
                handlers |= {path: str(_of(paths, path).get("Proxy", "")) for path in paths}
        return cls(
            state=str(status.get("BackendState", "")),
            name=str(_of(status, "Self").get("DNSName", "")).rstrip(".").lower(),
            certificates=bool(status.get("CertDomains")),
            handlers=handlers,
            forwarded=bool(port.get("TCPForward")),
            funnel=any(
                on and where.endswith(":443") for where, on in _of(serve, "AllowFunnel").items()
            ),
            words=frozenset(rest if word == "did" else word for word, rest in pairs),
            unreachable=said.get("unreachable", ""),
        )

    @property
    def over(self) -> bool:
        return "over" in self.words

    @property
    def joined(self) -> bool:
        return "joined" in self.words


def record(name: str) -> str:
    """Return the path of what the toolkit notes of the tailnet for a deployment."""
    return f"{RULES}/{name}.tailnet"


def leaving() -> Iterable[Problem]:
    """Say that a host cannot be taken out of the tailnet by a run that came by it."""
    there = snapshot.of(Tailnet)
    if there.joined and there.over:
        yield Problem(
            "this run has come in over the tailnet, which the host is to leave: it would be cut"
            " off",
            "run again by another address of the host's (ssh_hostname); where SSH is closed to it,"
            " first run with exposure.tailscale.close_ssh=false",
        )


def _object(text: str | None) -> dict[str, Any]:
    try:
        said = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _of(said: object, key: str) -> dict[str, Any]:
    found = said.get(key) if isinstance(said, dict) else None
    return found if isinstance(found, dict) else {}
