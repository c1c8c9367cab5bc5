"""What stands in front of the gateway, and by which address the gateway knows it.

OpenClaw takes the address of a client from `X-Forwarded-For` only where the connection comes from
`gateway.trustedProxies`. It refuses what is forwarded by anybody else, and what comes from there
and is not forwarded (docs: gateway/security/network-exposure, `proxy_attribution_required`). An
engine connects to a container from one address, whoever asks for a published port. So Caddy, or
tailscaled, has a port of its own, whose connections the deployment's rules give another address,
and a tunnel and the toolkit's own looks at the gateway go on as they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import Any

from operations import tailnet
from operations.base import snapshot
from toolkit.settings import Settings
from toolkit.settings.exposure import Exposure
from toolkit.settings.model import Gateway

ADDRESS = "192.0.0.8"
"""By which a gateway in a container knows Caddy; nobody on a network has it (RFC 7600)."""
TOKEN, PASSWORD = "OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD"
SITES = "/etc/caddy/openclaw-pyinfra"
"""The directory of the sites of this toolkit, one for each deployment."""


@snapshot.fact("front")
@dataclass(frozen=True)
class Front:
    """What a host says: whether Caddy has a site of the deployment, or tailscaled serves it."""

    site: bool = False
    tailnet: bool = False

    @staticmethod
    def script(settings: Settings) -> str:
        site, machine = quote(site_path(settings.name)), quote(tailnet.record(settings.name))
        return f"[ ! -e {site} ] || echo site\n[ ! -e {machine} ] || echo tailnet"

    @classmethod
    def parse(cls, lines: list[str]) -> Front:
        return cls("site" in lines, "tailnet" in lines)


def authentication(exposure: Exposure) -> dict[str, Any]:
    """Return what the gateway goes by, of `gateway.auth`; a None means: absent.

    A proxy's word and a shared token exclude each other; what looks at the gateway on the host
    itself has the token's value as the password (docs: gateway/trusted-proxy-auth).
    """
    proxy = exposure.proxy
    if exposure.profile != "proxy":
        token = {"source": "env", "provider": "default", "id": TOKEN}
        return {"mode": "token", "token": token}
    trusted = {
        "userHeader": proxy.user_header,
        "requiredHeaders": list(proxy.required_headers),
        "allowUsers": list(proxy.users),
        "allowLoopback": None,
    }
    return {"mode": "trusted-proxy", "token": None, "trustedProxy": trusted}


def left(gateway: object) -> dict[str, Any]:
    """Return what is to go of an openclaw.json's `gateway` by which a proxy is still believed."""
    auth = gateway.get("auth") if isinstance(gateway, dict) else None
    if not isinstance(auth, dict) or auth.get("mode") != "trusted-proxy":
        return {}
    return {"trustedProxies": None, "auth": {"trustedProxy": None}}


def site_path(name: str) -> str:
    return f"{SITES}/{name}.caddy"


def trusted(exposure: Exposure, gateway: Gateway, port: int | None) -> tuple[str, ...] | None:
    """Return whom the gateway is to believe the address of a client; nobody, where that is nobody
    any more; None where openclaw.json may say what it likes.

    + port: Caddy's own to a gateway in a container; one of the host meets it on its own loopback
    """
    if exposure.profile in ("https", "tailscale"):
        return ("127.0.0.1" if port is None else ADDRESS,)
    if exposure.profile == "proxy":
        return exposure.proxy.proxies
    if gateway.trusted_proxies:
        return gateway.trusted_proxies
    there = snapshot.of(Front)
    return () if there.site or there.tailnet else None
