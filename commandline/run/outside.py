"""What answers on hosts as others see them: from this machine, or from another host.

A run that changed something ends with it, and `./claw verify --outside` does nothing else. What is
open is compared with what the settings want. Nothing is guessed: an address that cannot be looked
at, because it means another machine here or because there is no way to it, is `unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from pyinfra.api.host import Host
from pyinfra.connectors.ssh import SSHConnector

from commandline import targets
from commandline.errors import explain
from operations.base import connection, snapshot, templates
from operations.base.check import Check
from toolkit import greenlets, outside
from toolkit.openssh import Resolved
from toolkit.outside import Seen
from toolkit.settings import Settings, settings_for
from toolkit.settings.sources import machines
from toolkit.ssh import PKey

LIMIT_SECONDS = 90
"""What a host takes at most; most take a second, those that drop what they do not like five."""
ENGINE_PORTS = (2375, 4243)
"""Of an engine's API in the clear: who reaches it is root on the host."""
CADDY_ADMIN = 2019
ITSELF = "this machine cannot look at itself; run verify --outside on another one"
ALSO = "also open, and not the toolkit's"
NO_SSH = "not looked at: it is not reached over SSH, so no address of it is known"


@dataclass(frozen=True)
class Expected:
    """What may be open on a host: the ports that are `wanted`; of these, `asked` must answer.

    `ours`: ports of the deployment or of its engine that are never to be, with their names;
    `closed`: the toolkit's firewall closes all others; `served`: ports open to the host's tailnet.
    """

    wanted: frozenset[int]
    asked: frozenset[int]
    ours: Mapping[int, str]
    closed: bool = False
    served: frozenset[int] = frozenset()

    @classmethod
    def of(cls, settings: Settings, ssh: int, closed: bool) -> Expected:
        pairs = [one.partition("/")[::2] for one in settings.public_ports]
        public = {int(port) for port, protocol in pairs if protocol == "tcp"}
        ours = {settings.gateway.port: "the gateway"}
        if settings.front_port:
            ours[settings.front_port] = "the proxy's way to the gateway"
        if settings.exposure.https.domain:
            ours[CADDY_ADMIN] = "Caddy's administration"
        ours |= dict.fromkeys(ENGINE_PORTS, "the engine's API")
        if any(outside.own(one) for one in settings.exposure.proxy.proxies):
            public.add(settings.gateway.port)  # to nobody else, and this machine is the proxy
        allowed = {int(one.partition("/")[0]) for one in settings.host.firewall.allow}
        served = frozenset({443} if settings.exposure.tailscale.name else ())
        return cls(frozenset({ssh} | public), frozenset(public - allowed), ours, closed, served)

    def at(self, address: str) -> Expected:
        """Return what may be open on one of the host's addresses."""
        if not outside.of_tailnet(address):
            return self
        return replace(self, wanted=self.wanted | self.served, asked=self.asked | self.served)

    @property
    def tried(self) -> list[int]:
        return sorted({*self.wanted, *self.ours, *outside.ATTACKED})


def checked(host: Host, by: Host | None = None) -> list[Check]:
    """Return what answers on a host's addresses; never raises. `by`: as that host sees it."""
    try:
        with greenlets.Timeout(LIMIT_SECONDS):
            return list(_checks(host, by))
    except greenlets.Timeout:
        return [_unknown("", f"not finished within {LIMIT_SECONDS} s")]
    except Exception as error:
        return [_unknown("", f"not looked at: {explain(error)}")]


def sentence(checks: Iterable[Check]) -> str:
    """Return what was seen of a host as one line."""
    return "; ".join(f"{one.name.partition(' ')[2]}: {one.detail}".lstrip(": ") for one in checks)


def plain(checks: Iterable[Check]) -> bool:
    """Return whether nothing is to be said of a host but that it is open as wanted."""
    return all(one.outcome == "ok" and ALSO not in one.detail for one in checks)


def wrong(checks: Iterable[Check]) -> str:
    """Return what is open and is not to be, as one line; '' if nothing is."""
    return sentence(one for one in checks if one.outcome == "failed")


def _unknown(address: str, why: str) -> Check:
    return Check(f"outside {address}".rstrip(), "unknown", why)


@dataclass(frozen=True)
class Place:
    """What is known of a host that is looked at; `known` are the addresses that the inventory and
    the settings name, `claimed` those that only the host itself does.
    """

    there: Resolved
    known: tuple[str, ...]
    claimed: tuple[str, ...]
    key: PKey | None
    expected: Expected
    name: str | None


def _checks(host: Host, by: Host | None) -> Iterator[Check]:
    if targets.is_local(host):
        yield _unknown("", ITSELF)
        return
    if not issubclass(host.connector_cls, SSHConnector):
        yield _unknown("", NO_SSH)
        return
    yield from looked(_of(host), by)


def looked(one: Place, by: Host | None = None) -> Iterator[Check]:
    """Yield what answers on each address of a host, to this machine or to another host."""
    own = set(one.claimed)
    translated = own and not own & set(one.known)
    for check in list(_from_here(one) if by is None else _from_host(one, by)):
        address = check.name.partition(" ")[2]
        if translated and address in one.known and check.outcome != "unknown":
            # Whoever answers there may be another: a router hands on only what it was told to.
            check = replace(check, detail=f"{check.detail} (no address of the host's own: NAT)")
        yield check


def _of(host: Host) -> Place:
    settings, there = settings_for(host), machines.resolved(host)
    closes = settings.host.firewall.enabled
    said = snapshot.run_quietly(host, templates.render("outside/host.sh.j2", firewall=closes))
    words = [line.partition(" ")[::2] for line in said.splitlines()]
    # A name that a jump host alone knows has none here.
    known = outside.resolved(there.hostname, there.port) + [
        str(one) for one in settings.exposure.https.addresses
    ]
    claimed = outside.usable(rest for word, rest in words if word == "address")
    way = connection.transport(host)
    closed = closes and "manager" not in dict(words)
    return Place(
        there,
        tuple(dict.fromkeys(known)),
        tuple(claimed),
        way.get_remote_server_key() if way else None,
        Expected.of(settings, there.port, closed),
        settings.exposure.domain,
    )


# As this machine sees it


def _from_here(one: Place) -> Iterator[Check]:
    through = one.there.way_through
    tried: list[tuple[str, bool]] = []
    for address in one.known:
        if outside.own(address):
            why = "not tried: it is this machine's own; a port of it leads to the host"
            yield _unknown(address, why)
        elif through and not outside.is_public(address):
            why = f"not tried: the host is reached through {through}, and here a private address"
            yield _unknown(address, f"{why} may be another machine's")
        else:
            tried.append((address, False))
    if not one.known:
        yield _unknown("", f"{one.there.hostname} has no address here")
    more = [address for address in one.claimed if address not in one.known]
    tried += [(address, True) for address in more if outside.is_public(address)]
    if tried:
        yield from greenlets.Pool(len(tried)).map(lambda pair: _tried(one, *pair), tried)


def _tried(one: Place, address: str, proves: bool) -> Check:
    if not outside.has_way(address):
        return judged(Seen(address, way=False), one.expected)
    if proves and not (one.key and outside.same_host(address, one.there.port, one.key)):
        why = "not tried: the host says it has it, and its SSH server does not answer there"
        return _unknown(address, why)
    ssh = (one.there.port,)
    return judged(outside.look(address, one.expected.tried, one.name, ssh), one.expected)


# As another host sees it


def _from_host(one: Place, by: Host) -> Iterator[Check]:
    """Have another host look; what it says of this one is its word."""
    if one.key is None:
        yield _unknown("", NO_SSH)
        return
    addresses = list(dict.fromkeys([*one.known, *one.claimed]))
    usable = outside.usable(addresses)
    script = templates.render(
        "outside/look.sh.j2",
        # In another network a private address may be another machine's, whoever has named it.
        addresses=[(a, not (a in one.known and outside.is_public(a))) for a in usable],
        ssh=one.there.port,
        kind=_kind(one.key),
        key=one.key.get_base64(),
        ports=one.expected.tried,
        seconds=round(outside.SECONDS),
        name=one.name or "localhost",
    )
    said = snapshot.run_quietly(by, script, LIMIT_SECONDS)
    for seen in parse(said, usable, one.expected.tried):
        if isinstance(seen, Seen):
            yield judged(seen, one.expected, by.name)
        elif seen in one.known or outside.is_public(seen):
            why = f"not tried: to {by.name} its SSH server does not answer there"
            yield _unknown(seen, why)


def _kind(key: PKey) -> str:
    """Return the kind of a key as ssh-keyscan has it."""
    return re.sub(r"^(ssh-|sk-)?([a-z]+[0-9]*).*", r"\2", key.get_name())


def parse(said: str, addresses: Iterable[str], ports: Iterable[int]) -> Iterator[Seen | str]:
    """Yield what a host says of another one's addresses, of which it was asked: what was seen, or
    the address alone where nobody proved to be that host.
    """
    known, tried = list(addresses), set(map(str, ports))
    found: dict[str, list[tuple[str, str]]] = {address: [] for address in known}
    for line in said.splitlines():
        word, address, port = (*line.split(" "), "", "", "")[:3]
        if address in found and (port in tried or not port):
            found[address].append((word, port))
    for address, words in found.items():
        if ("stranger", "") in words:
            yield address
            continue
        opened = {int(port) for word, port in words if word == "open" and port}
        taken = {int(port) for word, port in words if word == "websocket" and port}
        sorted_ports = tuple(sorted(opened))
        way = ("noway", "") not in words
        yield Seen(address, sorted_ports, tuple(sorted(taken & opened)), way)


def judged(seen: Seen, expected: Expected, by: str = "") -> Check:
    """Return what an address that was looked at means; nothing is said of what hides everything."""
    who, expected = by or "this machine", expected.at(seen.address)
    if not seen.way:
        kind = "IPv6" if ":" in seen.address else "IPv4"
        return _unknown(seen.address, f"not tried: {who} has no way there ({kind})")
    if not seen.ports:
        why = "nothing answers, not even its SSH server: something stands between"
        return _unknown(seen.address, why)

    def named(ports: Iterable[int], name: Callable[[int], str] = lambda port: "") -> str:
        words = []
        for port in ports:
            more = [name(port), "WebSocket" if port in seen.websockets else ""]
            inside = ", ".join(filter(None, more))
            words.append(f"{port} ({inside})" if inside else str(port))
        return ", ".join(words)

    def what(port: int) -> str:
        return expected.ours.get(port, "host.firewall is to close it")

    wanted = [port for port in seen.ports if port in expected.wanted]
    others = [port for port in seen.ports if port not in expected.wanted]
    bad = [port for port in others if expected.closed or port in expected.ours]
    silent = sorted(expected.asked - set(seen.ports))
    asides = []
    if not expected.closed and (foreign := [port for port in others if port not in bad]):
        asides.append(f"{ALSO}: {named(foreign)}")
    if silent:
        asides.append(f"wanted, and not answered: {named(silent)} (a provider's firewall?)")
    if by:
        asides.append(f"as {by} sees it")
    asides.append(f"of {len(expected.tried)} ports")
    rest = "; ".join(asides)
    name = f"outside {seen.address}"
    if bad:
        return Check(name, "failed", f"open, and not to be: {named(bad, what)}; {rest}")
    opened = f"open, as wanted: {named(wanted) or 'none'}; {rest}"
    return Check(name, "unknown" if silent else "ok", opened)
