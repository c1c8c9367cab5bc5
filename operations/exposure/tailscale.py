"""The Control UI for the machines of a tailnet: Tailscale's own package, and `tailscale serve`.

tailscaled speaks TLS with a certificate of the machine's name and hands requests and WebSockets on
to the port that is published on the host's loopback, with the client's own address. To OpenClaw it
is a proxy as Caddy is (docs of the release: gateway/tailscale, "Externally managed Serve"): who
comes in gives the token, and no header of Tailscale's is believed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import PyinfraError

from operations import packages
from operations.base import files, notes, preflight, snapshot, templates
from operations.base.answers import printable
from operations.base.check import Check
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.engine_access import EngineWay
from operations.nftables import RULES
from operations.packages import Packages
from operations.system import ARCHITECTURES, System
from operations.tailnet import KEY, LOGGED_OUT, RUNNING, SOURCE, Tailnet, leaving, record
from toolkit import credentials
from toolkit.settings import Settings

PACKAGE = "tailscale"
FINGERPRINT = "2596A99EAAB33821893C0A79458CA832957F5868"
"""Of Tailscale's key for Debian and Ubuntu: https://tailscale.com/kb/1485/install-clients"""
JOIN_SECONDS, SERVE_SECONDS, LEAVE_SECONDS = 60, 120, 180
APPROVE = "https://login.tailscale.com/admin/machines"
ADMIN_DNS = "https://login.tailscale.com/admin/dns"


@packages.known
def known(settings: Settings) -> Iterable[str]:
    return (PACKAGE,) if settings.exposure.tailscale.name else ()


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return (SOURCE, KEY) if settings.exposure.tailscale.name else ()


@preflight.check
def problems(settings: Settings) -> Iterable[Problem]:
    if settings.exposure.tailscale.name is None:
        yield from leaving()
        return
    if not snapshot.of(System).systemd:
        yield Problem(
            "exposure.tailscale needs systemd, which runs tailscaled", "set exposure to tunnel"
        )
    if EngineWay(settings).own_engine and settings.front_port:
        yield Problem(
            "exposure.tailscale: an engine without root connects to the gateway from one address,"
            " whoever asks, so that tailscaled could not be told from a tunnel",
            "set sandbox.socket to host or socket, or exposure to tunnel",
        )
    if "no-tun" in snapshot.of(Tailnet).words:
        yield Problem(
            "exposure.tailscale: the host has no /dev/net/tun, which tailscaled needs",
            "have the provider allow TUN devices, or set exposure to tunnel",
        )
    yield from _repository_problems(settings)
    yield from _key_problems(settings)
    yield from machine_problems(settings)
    yield from port_problems(settings)


def _repository_problems(settings: Settings) -> Iterable[Problem]:
    """Yield what keeps the package from being installed."""
    tailscale, there = settings.exposure.tailscale, snapshot.of(Tailnet)
    if PACKAGE in snapshot.of(Packages).versions:
        return
    key, url = tailscale.repository_key, tailscale.repository_url
    if key and "BEGIN PGP PUBLIC KEY BLOCK" not in _text(key):
        yield Problem(
            f"exposure.tailscale.repository_key: {key} on this machine is not an OpenPGP key in"
            " text form",
            "correct the path; gpg --armor --export writes such a file",
        )
    if not key and not url.startswith("https://"):
        yield Problem(
            f"exposure.tailscale.repository_url is {url}: its signing key cannot be trusted without"
            " HTTPS",
            "use an https:// address, or give the key as exposure.tailscale.repository_key",
        )
    if there.unreachable:
        yield Problem(
            f"Tailscale's repository {url} has nothing for {snapshot.of(System).title}, or cannot"
            f" be reached: {printable(there.unreachable)}",
            "check network and exposure.tailscale.repository_url, or install tailscale yourself",
        )


def _key_problems(settings: Settings) -> Iterable[Problem]:
    """Yield why the host could not join the tailnet."""
    key, there = settings.exposure.tailscale.auth_key, snapshot.of(Tailnet)
    if not _needs_key(there):
        return
    if key is None:
        yield Problem(
            "exposure.tailscale.auth_key: not given, and the host is in no tailnet",
            "make one at https://login.tailscale.com/admin/settings/keys and name where it is,"
            " such as {env: TS_AUTHKEY}; or run tailscale up on the host",
        )
        return
    try:
        credentials.read(key)
    except credentials.CredentialError as error:
        yield Problem(f"exposure.tailscale.auth_key: {error}", "set it")


def machine_problems(settings: Settings) -> Iterable[Problem]:
    """Yield why the machine that the host is in its tailnet is not the one that it is to be."""
    name, there = settings.exposure.tailscale.name, snapshot.of(Tailnet)
    if there.state == "NeedsMachineAuth":
        yield Problem(
            "the host waits for an admin of the tailnet who approves it", f"approve it at {APPROVE}"
        )
    if there.state != RUNNING:
        return
    if there.name != name:
        yield Problem(
            f"exposure.tailscale.name: given {name}, and in its tailnet the host is"
            f" {printable(there.name) or 'nobody'}: that name is another machine's, or of another"
            " tailnet",
            f"set it to that name; or remove the other machine and rename this one at {APPROVE}",
        )
    elif not there.certificates:
        yield Problem(
            "HTTPS is not switched on for the tailnet, so that no browser could open"
            f" https://{name}/",
            f"switch on MagicDNS and HTTPS certificates at {ADMIN_DNS}",
        )


def port_problems(settings: Settings) -> Iterable[Problem]:
    """Yield what tailscaled hands on already, by the port that is to be the gateway's."""
    there, root = snapshot.of(Tailnet), snapshot.of(Tailnet).handlers.get("/")
    if there.forwarded or (root is not None and root != target(settings) and not _ours(there)):
        yield Problem(
            "tailscale serve hands port 443 of the tailnet on to"
            f" {printable(root or 'something that is no web server')} already",
            "take that away (tailscale serve --https=443 off), or set exposure to tunnel",
        )
    if there.funnel:
        yield Problem(
            "tailscale funnel is on for port 443: all the world would come to the gateway",
            "switch it off: tailscale funnel --https=443 off",
        )


def _ours(there: Tailnet) -> bool:
    return "served" in there.words


def _needs_key(there: Tailnet) -> bool:
    stopped = "known" in there.words and "active" not in there.words
    return there.state in LOGGED_OUT and not stopped


def target(settings: Settings) -> str:
    """Return the address on the host's loopback to which tailscaled hands requests on."""
    return f"http://127.0.0.1:{settings.front_port or settings.gateway.port}"


@operation
def served(settings: Settings) -> Generator:
    """Have tailscaled serve the Control UI to the tailnet, or take the host out of it.

    + settings: the settings of the host

    Raises:
        PyinfraError: the tailnet has given the host another name, or has no HTTPS.
    """
    name, there = settings.exposure.tailscale.name, snapshot.of(Tailnet)
    if name is None:
        if not there.words & {"served", "joined"}:
            host.noop("nothing of the deployment is in a tailnet")
            return
        variables = removal(settings.name)
        script = templates.render("exposure/leave.sh.j2", **variables)
        yield StringCommand("sh -s", _stdin=[script], _timeout=LEAVE_SECONDS)
        return
    if PACKAGE not in snapshot.of(Packages).versions:
        yield from _trusted(settings)
        yield packages.install_command([PACKAGE])
        there = snapshot.of(Tailnet)
    if there.state != RUNNING or not {"active", "enabled"} <= there.words:
        yield _join(settings, there)
        there = snapshot.of(Tailnet)
    if host.state.is_executing:
        # What the preflight could not know yet.
        for problem in (*machine_problems(settings), *port_problems(settings)):
            raise PyinfraError(f"{problem.what}\n    fix: {problem.fix}")
    if there.handlers.get("/") == target(settings) and {"serving", "served"} <= there.words:
        host.noop("the tailnet is served")
        return
    script = templates.render(
        "exposure/serve.sh.j2",
        domain=name,
        target=target(settings),
        directory=RULES,
        record=record(settings.name),
        seconds=SERVE_SECONDS,
    )
    yield StringCommand("sh -s", _stdin=[script], _timeout=3 * SERVE_SECONDS)
    notes.of(host).checks.append(Check("tailnet", "ok"))


def _trusted(settings: Settings) -> Generator:
    """Yield what has apt take the package from Tailscale's repository, and by its key alone."""
    tailscale, system = settings.exposure.tailscale, snapshot.of(System)
    if "other-source" in snapshot.of(Tailnet).words:
        return
    url = f"{tailscale.repository_url.rstrip('/')}/{system.distribution}"
    yield from packages.trusted_key(
        KEY,
        url=f"{url}/{system.codename}.gpg",
        fingerprint=FINGERPRINT,
        given=tailscale.repository_key,
        setting="exposure.tailscale.repository_key",
    )
    content = templates.render(
        "exposure/tailscale.sources.j2",
        url=url,
        suite=system.codename,
        architecture=ARCHITECTURES[system.machine],
        key=KEY,
    )
    source = files.File(SOURCE, content)
    if files.differs(source):
        files.show_difference(source)
        yield files.write_command(source)


def _join(settings: Settings, there: Tailnet) -> StringCommand:
    tailscale = settings.exposure.tailscale
    key = credentials.read(tailscale.auth_key) if _needs_key(there) and tailscale.auth_key else ""
    script = templates.render(
        "exposure/join.sh.j2",
        key=key,
        hostname=(tailscale.name or "").partition(".")[0],
        directory=RULES,
        record=record(settings.name),
        seconds=JOIN_SECONDS,
    )
    return StringCommand("sh -s", _stdin=[script], _timeout=3 * JOIN_SECONDS)


def removal(name: str) -> dict[str, object]:
    """Return what `exposure/tailnet_gone.sh.j2` is rendered with."""
    return {"tailnet_record": record(name)}


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
