"""The settings of how people reach the Control UI (docs/exposure.md)."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, StringConstraints, model_validator

from toolkit.settings.section import Section
from toolkit.settings.types import (
    AbsolutePath,
    Accepts,
    Boolean,
    Credential,
    IpAddress,
    Origin,
    Url,
)

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

Profile = Literal["tunnel", "https", "tailscale", "proxy"]
TUNNEL = "tunnel"
WEB_PORTS = (80, 443)
TAILNET_PORT = "41641/udp"
"""Of tailscaled, for connections that need no relay: https://tailscale.com/kb/1082/firewall-ports"""
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


def _domain(value: str) -> str:
    name = value.lower()
    if not re.fullmatch(rf"({_LABEL}\.)+[a-z]({_LABEL})?", name) or len(name) > 253:
        raise ValueError("not the name of a host")
    return name


def _node(value: str) -> str:
    name = value.lower().rstrip(".")
    if not re.fullmatch(rf"{_LABEL}(\.{_LABEL}){{2,}}", name) or len(name) > 253:
        raise ValueError("not the name of a machine of a tailnet")
    return name


def _email(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}@[A-Za-z0-9.-]{1,253}", value):
        raise ValueError("not an address of e-mail")
    return value


def _ipv4(value: str) -> str:
    address = ipaddress.IPv4Address(value)
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        raise ValueError("not the address of a machine")
    return str(address)


def _directory(value: str) -> str:
    if not re.fullmatch(r"https://[A-Za-z0-9._~:/@=,+!\[\]-]+", value):
        raise ValueError("not the https address of a directory")
    return value


Domain = Annotated[
    str,
    AfterValidator(_domain),
    Accepts("the full name of a host, such as `claw.example.org` (xn--... for others than ASCII)"),
]
NodeName = Annotated[
    str,
    AfterValidator(_node),
    Accepts("the full name of a machine of a tailnet, such as `claw.tail1a2b.ts.net`"),
]
Email = Annotated[str, AfterValidator(_email), Accepts("an address such as `me@example.org`")]


AcmeDirectory = Annotated[
    str,
    AfterValidator(_directory),
    Accepts("the address of an ACME server's directory, `https://...`"),
]


Ipv4Address = Annotated[
    str,
    AfterValidator(_ipv4),
    Accepts("one IPv4 address, not a loopback's: over IPv6 an engine hides who connects"),
]
HeaderName = Annotated[
    str,
    StringConstraints(pattern="^[A-Za-z0-9][A-Za-z0-9-]{0,63}$", to_lower=True),
    Accepts("the name of a header"),
]
Identity = Annotated[
    str,
    StringConstraints(pattern=r"^[!-~]([ -~]{0,252}[!-~])?$"),
    Accepts("a user as the proxy names him, such as `me@example.org`"),
]


class Https(Section):
    """Caddy in front of the gateway on the host, for everybody by https."""

    domain: Domain | None = None
    """The name by which the host is reached; its addresses are in the DNS. None: no https."""
    email: Email | None = None
    """Whom the certificate authority tells of trouble with a certificate; none: nobody."""
    addresses: tuple[IpAddress, ...] = ()
    """Public addresses that lead to the host and are on none of its interfaces (a floating
    address, a router that translates)."""
    acme_ca: AcmeDirectory | None = None
    """Directory of another ACME server; none: the public ones that Caddy knows."""
    acme_ca_root: AbsolutePath | None = None
    """File on the control machine with the certificate (PEM) of the authority that this server's
    own certificate is of; none: one that the host trusts."""


class Tailscale(Section):
    """Tailscale on the host, for the machines of its tailnet by https."""

    name: NodeName | None = None
    """The machine's name and its tailnet's, `claw.tail1a2b.ts.net`. None: no tailnet."""
    auth_key: Credential | None = None
    """The key with which the host joins, by reference: `env: NAME`, `file: PATH` or `command: ...`,
    read on the control machine. It is needed once; a host that is in the tailnet needs none."""
    close_ssh: Boolean = False
    """Have `host.firewall` let SSH in over the tailnet alone, from a run on that has come in so."""
    repository_url: Url = "https://pkgs.tailscale.com/stable"
    """Tailscale's apt repository, without the distribution's name; not asked where Tailscale is
    installed already."""
    repository_key: AbsolutePath | None = None
    """File on the control machine with the repository's signing key; none: fetched from the
    repository, and taken only if it is Tailscale's, by its fingerprint."""


class Proxy(Section):
    """A proxy of one's own on another machine, which knows who its users are and says so by a
    header (OpenClaw's trusted-proxy mode)."""

    origin: Origin | None = None
    """Under which browsers open the Control UI, `https://...`. None: no such proxy."""
    address: Ipv4Address | None = None
    """The host's address on which the gateway is published for the proxy."""
    proxies: tuple[Ipv4Address, ...] = ()
    """The addresses from which the proxy connects; nobody else reaches the gateway, and nobody
    else is believed."""
    users: tuple[Identity, ...] = ()
    """Who may come in, as the proxy names them."""
    user_header: HeaderName = "x-forwarded-user"
    """The header in which the proxy says who the user is."""
    required_headers: tuple[HeaderName, ...] = ("x-forwarded-proto", "x-forwarded-host")
    """Headers without which a request is not the proxy's."""


class Exposure(Section):
    """How people reach the Control UI: `tunnel`, or a mapping with one of the keys
    (docs/exposure.md). It sets published address, origins, trusted proxies and the summary's words
    together."""

    https: Https = Https()
    tailscale: Tailscale = Tailscale()
    proxy: Proxy = Proxy()

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {} if value == TUNNEL else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"const": TUNNEL}, handler(schema)]}

    @property
    def profile(self) -> Profile:
        if self.https.domain:
            return "https"
        if self.tailscale.name:
            return "tailscale"
        return "proxy" if self.proxy.origin else "tunnel"

    @property
    def domain(self) -> str | None:
        """The name under which the host itself answers by https."""
        return self.https.domain or self.tailscale.name

    @property
    def origins(self) -> list[str]:
        """The origins under which browsers open the Control UI, beside those of the loopback."""
        served = self.domain and f"https://{self.domain}"
        return [one for one in (served, self.proxy.origin) if one]
