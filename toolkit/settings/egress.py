"""The settings of what a deployment's containers may connect to."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

from toolkit.settings.section import Section
from toolkit.settings.types import Accepts

METADATA = (
    *("169.254.0.0/16", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("fe80::/10", "fd00:ec2::/32", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42"),
    "64:ff9b::a9fe:0/112",
)
"""Where clouds tell a machine its credentials; the last is the first by way of NAT64."""
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")


@dataclass(frozen=True)
class DestinationParts:
    """The parts of a `Destination`; no address: the host itself, no port: every one."""

    address: str | None
    port: int | None

    @property
    def family(self) -> str:
        """nftables' word for the address's family."""
        return "ip6" if ":" in (self.address or "") else "ip"


def parse_destination(value: str) -> DestinationParts:
    """Return the parts of a `Destination`.

    Raises:
        ValueError: it is none; the message says why.
    """
    bracketed = re.fullmatch(r"\[([^]]*)\](?::([0-9]{1,5}))?", value)
    with_port = re.fullmatch(r"([^:]*):([0-9]{1,5})", value)
    found = bracketed or with_port
    name, digits = (found[1], found[2]) if found else (value, None)
    port = int(digits) if digits else None
    if port is not None and not 1 <= port <= 65535:
        raise ValueError("the port is not from 1 to 65535")
    if name == "host":
        if port is None:
            raise ValueError("the host needs a port; `egress.host: allow` opens all of them")
        return DestinationParts(None, port)
    try:
        network = ipaddress.ip_network(name)
    except ValueError:
        raise ValueError("no address or network, or bits are set after its prefix") from None
    if network.prefixlen == 0:
        raise ValueError("that is everything")
    return DestinationParts(str(network), port)


def _destination(value: str) -> str:
    parts = parse_destination(value)
    if parts.address is None:
        return f"host:{parts.port}"
    address = parts.address.removesuffix("/32").removesuffix("/128")
    if parts.port is None:
        return address
    return f"[{address}]:{parts.port}" if parts.family == "ip6" else f"{address}:{parts.port}"


Destination = Annotated[
    str,
    AfterValidator(_destination),
    Accepts(
        "`host:PORT`, or an address or network with or without `:PORT`, such as"
        " `192.168.1.10:11434`, `10.2.0.0/16` or `[fd00::7]:443`"
    ),
]


class Egress(Section):
    """What the gateway, its sandboxes and their browsers may connect to, beside the Internet
    (docs/sandbox.md). Name servers (port 53) are always reached."""

    metadata: Literal["deny", "allow"] = "deny"
    """Where clouds tell a machine its credentials: 169.254.0.0/16, fe80::/10, fd00:ec2::/32 and
    single addresses of other clouds."""
    host: Literal["deny", "allow"] = "deny"
    """Every address of the host itself, whatever listens or is published there."""
    private: Literal["allow", "deny"] = "allow"
    """Private networks: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7."""
    allowed: tuple[Destination, ...] = ()
    """What is allowed all the same; a model server on the host, which the gateway knows as
    `host.docker.internal`, is `host:11434`."""
