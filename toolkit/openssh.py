"""What OpenSSH itself makes of a host: `ssh -G` resolves it, and `ssh-keygen -F` looks its keys up.
Nobody else reads ssh_config or known_hosts.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import pwd
import re
import shlex
import socket
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hmac import digest
from pathlib import Path

from pyinfra.api.exceptions import PyinfraError

from toolkit import atomic
from toolkit.ssh import PKey, SSHException, UnknownKeyType

SECONDS = 30
"""How long `ssh -G` may take, with the commands of `Match exec`."""
_TRUE = ("yes", "true")
_END = "end-of-an-answer"
_TOKENS = re.compile(r"%(.)")


class OpenSSHError(PyinfraError):
    """OpenSSH does not accept a host or its configuration; the message is what it said."""


@dataclass(frozen=True)
class Resolved:
    """A host as OpenSSH would connect to it: ssh_config(5)'s options, with values in seconds.

    `original` is what was asked for, `known_name` the name of its key in known_hosts; `strict` is
    `yes`, `ask`, `accept-new` or `no`; `agent` the agent's socket, '' for the usual one, None for
    no agent.
    """

    original: str
    hostname: str
    port: int
    user: str
    known_name: str
    known_hosts: tuple[Path, ...]
    strict: str
    identities: tuple[str, ...]
    certificates: tuple[str, ...]
    identities_only: bool
    agent: str | None
    timeout: float | None
    keep_alive: int
    forward_agent: bool
    family: socket.AddressFamily
    bind_address: str | None
    command: str | None
    jumps: tuple[str, ...]
    config_file: str | None

    @property
    def own_identities(self) -> tuple[str, ...]:
        """The identity files that are not those which ssh tries by itself."""
        return tuple(path for path in self.identities if not path.startswith("~/.ssh/id_"))

    @property
    def way_through(self) -> str | None:
        """What leads to it, if it is not reached directly."""
        return ",".join(self.jumps) or self.command


@dataclass(frozen=True)
class KnownKeys:
    """What known_hosts files have for a name; `authority`: they have a certificate authority for
    it, which cannot be used here.
    """

    keys: tuple[PKey, ...] = ()
    revoked: tuple[PKey, ...] = ()
    authority: bool = False


@cache
def resolve(
    name: str, user: str | None = None, port: int | None = None, config_file: str | None = None
) -> Resolved:
    """Return what OpenSSH makes of a host, asked once per process.

    Args:
        name: a name of ssh_config, or an address.
        user, port: what was given for it, as `ssh -l` and `-p`.
        config_file: as `ssh -F`; None: the user's and the system's.

    Raises:
        OpenSSHError: it refuses the configuration or the name, or is not installed.
    """
    said: dict[str, list[str]] = {}
    asked = _question(name, user, port, config_file)
    for line in (_answers.get(asked) or run([*asked])).splitlines():
        key, _, value = line.partition(" ")
        said.setdefault(key, []).append(value)

    def one(key: str, default: str = "") -> str:
        return said.get(key, [default])[0]

    hostname, number = one("hostname", name), int(one("port", "22"))
    alias = one("hostkeyalias")
    strict = one("stricthostkeychecking", "ask")
    agent = one("identityagent", "SSH_AUTH_SOCK")
    timeout = one("connecttimeout", "none")
    jump, command = one("proxyjump", "none"), one("proxycommand", "none")
    found = Resolved(
        original=name,
        hostname=hostname,
        port=number,
        user=one("user"),
        known_name=alias or _known_name(hostname.lower(), number),
        known_hosts=tuple(_known_hosts(one("userknownhostsfile"), one("globalknownhostsfile"))),
        strict={"true": "yes", "false": "no", "off": "no"}.get(strict, strict),
        identities=tuple(said.get("identityfile", ())),
        certificates=tuple(said.get("certificatefile", ())),
        identities_only=one("identitiesonly") in _TRUE,
        agent=None if agent == "none" else _agent(agent),
        timeout=None if timeout == "none" else float(timeout),
        keep_alive=int(one("serveraliveinterval", "0")),
        forward_agent=one("forwardagent") in _TRUE,
        family={"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(
            one("addressfamily"), socket.AF_UNSPEC
        ),
        bind_address=one("bindaddress") or None,
        command=None,
        jumps=() if jump == "none" else tuple(jump.split(",")),
        config_file=config_file,
    )
    if command == "none":
        return found
    return Resolved(**{**vars(found), "command": _expanded(command, found)})


Question = tuple[str, "str | None", "int | None", "str | None"]
"""What `resolve` takes."""
_answers: dict[tuple[str, ...], str] = {}
"""What `ssh -G` said to its words."""


def ask_together(questions: Sequence[Question]) -> None:
    """Have OpenSSH asked what `resolve` is to know of several hosts, from one process: to start one
    from this here costs as much as `ssh -G` itself. What it refuses, `resolve` asks again.
    """
    asked = [_question(*one) for one in questions]
    lines = [f"{{ {shlex.join(words)} || echo; }} 2>/dev/null; echo {_END}" for words in asked]
    try:
        said = run(["sh", "-c", "\n".join(lines)])
    except OpenSSHError:
        return
    parts = said.split(f"{_END}\n")
    if len(parts) == len(asked) + 1:
        _answers.update(
            (words, text) for words, text in zip(asked, parts, strict=False) if text.strip()
        )


def _question(
    name: str, user: str | None, port: int | None, config_file: str | None
) -> tuple[str, ...]:
    login = ["-l", user] if user else []
    login += ["-p", str(port)] if port else []
    return ("ssh", "-G", *file_option(config_file), *login, "--", name)


def hops(there: Resolved) -> list[Resolved]:
    """Return the jump hosts on the way to a host, the nearest first; raises like `resolve`."""
    return [resolve(*hop(jump), there.config_file) for jump in there.jumps]


def files(there: Resolved, given: str | None) -> tuple[Path, ...]:
    """Return the known_hosts files of a host; `given` is what its host data names instead."""
    return (Path(given).expanduser(),) if given else there.known_hosts


def lookup(name: str, files: Iterable[Path]) -> KnownKeys:
    """Return what known_hosts files have for a name: hashed, by pattern, or as it is.

    What `ssh-keygen` cannot read of a file is passed over, as `ssh` does. Where a file has neither
    patterns nor markers, the names are compared here: to ask for each of a thousand hosts costs a
    tenth of what they cost in all.
    """
    keys: list[PKey] = []
    revoked: list[PKey] = []
    authority = False
    for file in filter(Path.is_file, files):
        named = _named(file, atomic.version(file))
        if named is None:
            words = ["ssh-keygen", "-F", name, "-f", str(file)]
            lines = run(words, failing=True).splitlines()
        else:
            lines = named.lines(name)
        for line in lines:
            marker, fields = "", line.split()
            if fields and fields[0].startswith("@"):
                marker, *fields = fields
            if line.startswith("#") or len(fields) < 3:
                continue
            if marker == "@cert-authority":
                authority = True
            elif key := _key(fields[1], fields[2]):
                (revoked if marker == "@revoked" else keys).append(key)
    return KnownKeys(tuple(keys), tuple(revoked), authority)


@dataclass(frozen=True)
class _Named:
    """The lines of a known_hosts file, by name, and those with a hash of it, which is
    HMAC-SHA1(salt, name): sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"."""

    plain: dict[str, list[str]]
    hashed: list[tuple[bytes, bytes, str]]

    def lines(self, name: str) -> list[str]:
        asked = name.lower().encode()
        found = self.plain.get(name.lower(), [])
        return found + [
            line for salt, value, line in self.hashed if digest(salt, asked, "sha1") == value
        ]


@lru_cache(maxsize=8)
def _named(file: Path, version: atomic.Version) -> _Named | None:
    """Return the lines of a file; None where it has some that only OpenSSH can match."""
    plain: dict[str, list[str]] = {}
    hashed = []
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        names, *rest = line.split() or [""]
        if len(rest) < 2 or names.startswith("#"):
            continue
        if set(names) & set("@*?!"):
            return None
        if names.startswith("|"):
            try:
                _, kind, salt, value = names.split("|")
                hashed.append((base64.b64decode(salt), base64.b64decode(value), line))
            except (ValueError, binascii.Error):
                return None
            if kind != "1":
                return None
            continue
        for name in names.lower().split(","):
            plain.setdefault(name, []).append(line)
    return _Named(plain, hashed)


def run(words: list[str], failing: bool = False) -> str:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except FileNotFoundError:
        raise OpenSSHError(f"this machine has no {words[0]}: install OpenSSH's client") from None
    except subprocess.TimeoutExpired:
        raise OpenSSHError(f"{shlex.join(words)} took more than {SECONDS} s") from None
    if done.returncode and not failing:
        said = done.stderr.decode(errors="replace").strip()
        raise OpenSSHError(f"{shlex.join(words)}: {said or 'failed'}")
    return done.stdout.decode(errors="replace")


def file_option(config_file: str | None) -> list[str]:
    """Return `-F FILE`; ssh itself looks into the home of the user database, not into $HOME."""
    if config_file is None and moved_home():
        own = Path.home() / ".ssh/config"
        config_file = str(own) if own.exists() else os.devnull
    return [] if config_file is None else ["-F", str(Path(config_file).expanduser())]


def moved_home() -> str | None:
    """Return the home of the user database where $HOME is another."""
    with contextlib.suppress(KeyError):
        listed = pwd.getpwuid(os.getuid()).pw_dir
        if Path(listed) != Path.home():
            return listed
    return None


def _known_name(hostname: str, port: int) -> str:
    return hostname if port == 22 else f"[{hostname}]:{port}"


def _known_hosts(*lists: str) -> Iterator[Path]:
    moved = moved_home()
    for file in (word for words in lists for word in words.split() if word != "none"):
        if moved and file.startswith(f"{moved}/.ssh/known_hosts"):
            file = f"{Path.home()}/.ssh/{Path(file).name}"
        yield Path(file).expanduser()


def _agent(value: str) -> str:
    if value == "SSH_AUTH_SOCK":
        return ""
    return os.environ.get(value[1:].strip("{}"), "") if value.startswith("$") else value


def _expanded(command: str, there: Resolved) -> str:
    values = {"%": "%", "h": there.hostname, "n": there.original, "p": there.port, "r": there.user}

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise OpenSSHError(f"ProxyCommand {command}: %{found[1]} is not understood")
        return str(values[found[1]])

    return _TOKENS.sub(value, command)


def hop(text: str) -> tuple[str, str | None, int | None]:
    """Return name, user and port of a hop as ProxyJump has it: `[USER@]HOST[:PORT]` or a URI."""
    user, _, place = text.removeprefix("ssh://").rpartition("@")
    host, port = place, ""
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    port = port.strip(":/")
    return host, user or None, int(port) if port else None


def _key(kind: str, text: str) -> PKey | None:
    try:
        return PKey.from_type_string(kind, base64.b64decode(text, validate=True))
    except (UnknownKeyType, SSHException, binascii.Error, ValueError):
        return None
