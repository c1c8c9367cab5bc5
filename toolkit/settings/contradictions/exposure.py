"""Settings that contradict the way in which people are to reach the Control UI."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.settings.contradictions.mounts import Inconsistency
from toolkit.settings.exposure import WEB_PORTS
from toolkit.settings.model import Settings


def problems(settings: Settings) -> Iterator[Inconsistency]:
    """Yield what keys of the gateway say against `exposure`."""
    https, gateway = settings.exposure.https, settings.gateway
    if https.domain is None:
        for key in https.model_fields_set - {"domain"}:
            yield Inconsistency(
                (f"exposure.https.{key}", "exposure.https.domain"),
                "has no effect without exposure.https.domain",
            )
        return
    if gateway.address != "127.0.0.1":
        yield Inconsistency(
            ("gateway.address", "exposure.https.domain"),
            f"given {gateway.address}: with exposure.https only Caddy reaches the gateway, on the"
            " host's loopback; accepted: 127.0.0.1, or exposure: tunnel",
        )
    if gateway.trusted_proxies:
        yield Inconsistency(
            ("gateway.trusted_proxies", "exposure.https.domain"),
            f"given {', '.join(gateway.trusted_proxies)}: with exposure.https it is Caddy on the"
            " host and nobody else; accepted: none, or exposure: tunnel",
        )
    if gateway.port in WEB_PORTS:
        yield Inconsistency(
            ("gateway.port", "exposure.https.domain"),
            f"given {gateway.port}: with exposure.https Caddy has the ports 80 and 443; accepted:"
            " another, such as 18789",
        )
    if (settings.front_port or 0) > 65535:
        yield Inconsistency(
            ("gateway.port", "exposure.https.domain"),
            f"given {gateway.port}: with exposure.https Caddy reaches it by the tenth port after"
            " it; accepted: at most 65525",
        )
    if settings.front_port and settings.engine.daemon.get("userland-proxy") is False:
        yield Inconsistency(
            ("engine.daemon.userland-proxy", "exposure.https.domain"),
            "given false: with exposure.https the engine's own proxy leads from the host's"
            " loopback to the gateway; accepted: true, or exposure: tunnel",
        )
