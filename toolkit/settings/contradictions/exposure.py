"""Settings that contradict the way in which people are to reach the Control UI."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator

from toolkit.settings.contradictions.mounts import Inconsistency
from toolkit.settings.exposure import WEB_PORTS
from toolkit.settings.model import Settings


def problems(settings: Settings) -> Iterator[Inconsistency]:
    """Yield what keys of the gateway say against `exposure`."""
    https, gateway = settings.exposure.https, settings.gateway
    yield from _of_tailscale(settings)
    yield from _of_proxy(settings)
    if https.domain is None:
        yield from _without("exposure.https.domain", https.model_fields_set)
        return
    yield from _behind_a_front(settings, "exposure.https.domain", "Caddy")
    if gateway.port in WEB_PORTS:
        yield Inconsistency(
            ("gateway.port", "exposure.https.domain"),
            f"given {gateway.port}: with exposure.https Caddy has the ports 80 and 443; accepted:"
            " another, such as 18789",
        )


def _without(key: str, given: Iterable[str]) -> Iterator[Inconsistency]:
    """Yield what is given of a profile and does nothing, for the key that switches it on is not."""
    profile, _, own = key.rpartition(".")
    for one in sorted(given):
        if one != own:
            yield Inconsistency((f"{profile}.{one}", key), f"has no effect without {key}")


def _behind_a_front(settings: Settings, key: str, who: str) -> Iterator[Inconsistency]:
    """Yield what keeps something on the host from being alone in front of the gateway."""
    gateway, profile = settings.gateway, key.rpartition(".")[0]
    if gateway.address != "127.0.0.1":
        yield Inconsistency(
            ("gateway.address", key),
            f"given {gateway.address}: with {profile} only {who} reaches the gateway, on the"
            " host's loopback; accepted: 127.0.0.1, or exposure: tunnel",
        )
    if gateway.trusted_proxies:
        yield Inconsistency(
            ("gateway.trusted_proxies", key),
            f"given {', '.join(gateway.trusted_proxies)}: with {profile} it is {who} on"
            " the host and nobody else; accepted: none, or exposure: tunnel",
        )
    if (settings.front_port or 0) > 65535:
        yield Inconsistency(
            ("gateway.port", key),
            f"given {gateway.port}: with {profile} {who} reaches it by the tenth port"
            " after it; accepted: at most 65525",
        )
    if settings.front_port and settings.engine.daemon.get("userland-proxy") is False:
        yield Inconsistency(
            ("engine.daemon.userland-proxy", key),
            f"given false: with {profile} the engine's own proxy leads from the host's"
            " loopback to the gateway; accepted: true, or exposure: tunnel",
        )


def _of_tailscale(settings: Settings) -> Iterator[Inconsistency]:
    """Yield what has no effect without a tailnet, or says otherwise than it."""
    tailscale, key = settings.exposure.tailscale, "exposure.tailscale.name"
    if tailscale.name is None:
        yield from _without(key, tailscale.model_fields_set)
        return
    yield from _behind_a_front(settings, key, "tailscaled")
    if settings.exposure.https.domain:
        yield Inconsistency(
            ("exposure.https.domain", key),
            "given both: port 443 is either Caddy's or the tailnet's; accepted: one of them",
        )
    if tailscale.close_ssh and not settings.host.firewall.enabled:
        yield Inconsistency(
            ("exposure.tailscale.close_ssh", "host.firewall.enabled"),
            "given true: it is host.firewall that closes SSH; accepted: with host.firewall.enabled",
        )
    gateway = settings.openclaw.get("gateway")
    own = gateway.get("tailscale") if isinstance(gateway, dict) else None
    if isinstance(own, dict) and own.get("mode", "off") != "off":
        yield Inconsistency(
            ("openclaw.gateway.tailscale.mode", key),
            "OpenClaw would serve by a tailscale of its own, which a container has none of;"
            " accepted: off",
        )


def _of_proxy(settings: Settings) -> Iterator[Inconsistency]:
    """Yield what is missing of a proxy of one's own, or says otherwise than it."""
    proxy, gateway, key = settings.exposure.proxy, settings.gateway, "exposure.proxy.origin"
    if proxy.origin is None:
        yield from _without(key, proxy.model_dump(exclude_defaults=True))
        return
    for other in ("https.domain", "tailscale.name"):
        if operator.attrgetter(other)(settings.exposure):
            yield Inconsistency(
                (f"exposure.{other}", key),
                "given both: either a front on the host or a proxy of your own; accepted: one of"
                " them",
            )
    if not proxy.origin.startswith("https://"):
        yield Inconsistency(
            (key,),
            f"given {proxy.origin}: who a user is may not travel in the clear; accepted:"
            " https://...",
        )
    for name in ("address", "proxies", "users"):
        if not getattr(proxy, name):
            yield Inconsistency(
                (f"exposure.proxy.{name}", key),
                "given nothing: without it the gateway would be closed to the proxy, or open to"
                f" others; accepted: {NEEDED[name]}",
            )
    if proxy.address and gateway.address != proxy.address:
        yield Inconsistency(
            ("gateway.address", "exposure.proxy.address"),
            f"given {gateway.address}: with exposure.proxy it is published on {proxy.address};"
            " accepted: none",
        )
    if gateway.trusted_proxies:
        yield Inconsistency(
            ("gateway.trusted_proxies", "exposure.proxy.proxies"),
            f"given {', '.join(gateway.trusted_proxies)}: with exposure.proxy it is the proxy"
            " alone; accepted: none",
        )
    if settings.gateway_on_host or settings.sandbox.socket == "rootless":
        yield Inconsistency(
            ("sandbox.socket", key),
            f"given {settings.sandbox.socket}: only to a container in the host's own engine does"
            " the proxy's address come through; accepted: socket, or sandboxes without it",
        )
    if wrong := {proxy.user_header, *proxy.required_headers} & NO_IDENTITY:
        yield Inconsistency(
            ("exposure.proxy.user_header",),
            f"given {', '.join(sorted(wrong))}, which any client sends; accepted: a header that"
            " the proxy alone sets",
        )


NEEDED = {
    "address": "the host's address on which the proxy finds it",
    "proxies": "the proxy's addresses",
    "users": "who may come in",
}
NO_IDENTITY = {"host", "origin", "user-agent", "authorization", "cookie", "connection", "upgrade"}
