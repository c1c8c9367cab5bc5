"""The host's SSH server: no password for root, no X11, no passwords at all where the run came in by
a key, and no algorithm that ssh-audit fails. Debian's sshd_config reads /etc/ssh/sshd_config.d
first, and of two values the first counts (https://man.openbsd.org/sshd_config).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import StringCommand

from operations.base import connection, files, notes, preflight, snapshot, templates
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.hardening import trial
from toolkit.settings import Settings

STRICTER = ("no", "forced-commands-only")
"""What PermitRootLogin may be that is not to be loosened."""
WEAK = ("KexAlgorithms", "HostKeyAlgorithms", "MACs")
"""OpenSSH's own lists, which get better with each release, and out of which something is taken:
what ssh-audit fails (https://github.com/jtesta/ssh-audit)."""
PATH = "/etc/ssh/sshd_config.d/00-openclaw-pyinfra.conf"


@snapshot.fact("sshd")
@dataclass(frozen=True)
class Sshd:
    """What a host says: whether there is an sshd, whether its configuration begins with those that
    it includes, how root may log in now, which lists of algorithms somebody else has set, and
    whether something of ours is not in effect."""

    there: bool = False
    includes: bool = False
    root_login: str = ""
    ignored: bool = False
    lists: frozenset[str] = frozenset()

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render(
            "hardening/sshd_probe.sh.j2",
            wanted=settings.host.sshd.enabled,
            path=PATH,
            lists=[name.lower() for name in WEAK],
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Sshd:
        words = dict(line.partition(" ")[::2] for line in lines)
        return cls(
            "there" in words,
            "includes" in words,
            words.get("root-login", ""),
            "ignored" in words,
            frozenset(line.partition(" ")[2] for line in lines if line.startswith("list ")),
        )


def configuration(settings: Settings) -> files.File:
    """Return the drop-in; it names the deployment whose it is."""
    there, keys = snapshot.of(Sshd), connection.by_key(host)
    weak = [name for name in WEAK if name.lower() not in there.lists]
    if connection.host_key(host).startswith("ecdsa-") and "HostKeyAlgorithms" in weak:
        weak.remove("HostKeyAlgorithms")  # by which this machine, at least, knows the host
    # Who logs in as root by a password, or as nobody knows whom, goes on doing so.
    root = keys or connection.login_user(host) not in (None, "root")
    stricter = there.root_login if there.root_login in STRICTER else "prohibit-password"
    content = templates.render(
        "hardening/sshd.conf.j2",
        deployment=settings.name,
        keys_only=keys,
        root_login=stricter if root else "",
        weak=weak,
    )
    return files.File(PATH, content)


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [PATH]


@preflight.check
def problems(settings: Settings) -> Iterable[Problem]:
    if not settings.host.sshd.enabled:
        return
    there = snapshot.of(Sshd)
    if not there.there:
        yield Problem("host.sshd: the host has no OpenSSH server", "set host.sshd.enabled to false")
    elif not there.includes:
        yield Problem(
            "host.sshd: /etc/ssh/sshd_config does not begin with /etc/ssh/sshd_config.d/*.conf, so"
            " that what is set there may count for nothing",
            "let it begin with the line `Include /etc/ssh/sshd_config.d/*.conf`, as Debian's does",
        )
    elif connection.login_user(host) is not None and not connection.by_key(host):
        yield Problem(
            "host.sshd: this run came in by a password, so passwords stay accepted",
            "put a key there (ssh-copy-id) and run again",
            stops=False,
        )


@operation
def configured(settings: Settings) -> Generator:
    """Have sshd take no more than it needs to; or as it was again.

    + settings: the settings of the host

    What was there before comes back if no new connection gets in (`operations/hardening/trial`).
    """
    if not settings.host.sshd.enabled:
        if files.found(PATH):
            yield StringCommand("sh -s", _stdin=[gone()])
            notes.of(host).outcome.append("sshd: as it was before")
        else:
            host.noop("host.sshd is off")
        return
    wanted = configuration(settings)
    if not files.differs(wanted) and not snapshot.of(Sshd).ignored:
        host.noop("sshd takes what it should, and no more")
        return
    files.show_difference(wanted)
    yield from trial.tried("sshd", "host.sshd", configuration=wanted)
    said = [line for line in wanted.content.splitlines() if not line.startswith("#")]
    notes.of(host).outcome.append(f"sshd: {', '.join(said)}")


def gone() -> str:
    """Return the script that takes the drop-in away."""
    return templates.render("hardening/sshd_gone.sh.j2", path=PATH)
