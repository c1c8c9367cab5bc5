"""The keys of hosts: what they offer, what known_hosts says of it, and what is written there.

`./claw` takes no key that known_hosts does not have, unless ssh_strict_host_key_checking or
~/.ssh/config say so; plain `pyinfra` accepts the key of a new host.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from commandline.screen.given import Given
from toolkit import openssh, pyinfra_internals, ssh_way
from toolkit.settings.sources.machines import resolved
from toolkit.ssh import HostKeyEntry, PKey, SSHException, Transport

STRICT = "ssh_strict_host_key_checking"
SECONDS = 15
KINDS = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
_UNKNOWN = re.compile(r"No host key for (\S+) found")
_CHANGED = re.compile(r"Host key for (\S+) does not match")


class HostKeyError(PyinfraError):
    """The keys of a host cannot be read or written; the message does not name the host."""


@dataclass(frozen=True)
class Keys:
    """The keys that a host offers under `name`, and those that `files` have for it."""

    name: str
    files: tuple[Path, ...]
    offered: tuple[PKey, ...]
    known: tuple[PKey, ...]

    @property
    def state(self) -> str:
        """Return `new`, `known` or `changed`: whether a connection would be made."""
        if not self.known:
            return "new"
        kinds = {key.get_name(): key for key in self.known}
        same = [key for key in self.offered if kinds.get(key.get_name()) == key]
        other = [key for key in self.offered if kinds.get(key.get_name(), key) != key]
        return "known" if same and not other else "changed"


def check_strictly() -> None:
    """Make ~/.ssh/config decide about new keys, and without a word of it refuse them."""
    pyinfra_internals.no_default(STRICT)


def fingerprint(key: PKey, name: str = "") -> str:
    """Return what `ssh-keygen -lf` prints: bits, digest, name and kind."""
    words = [str(key.get_bits()), key.fingerprint, name, f"({key.algorithm_name})"]
    return " ".join(word for word in words if word)


def scan(host: Host) -> Keys:
    """Return the keys of a host, asked of it directly or through what leads to it.

    Raises:
        HostKeyError: it does not answer, or a jump host does not let us through.
    """
    there = resolved(host)
    files = openssh.files(there, host.data.get("ssh_known_hosts_file"))
    offered: list[PKey] = []
    for kind in KINDS:
        try:
            with ssh_way.way(there, SECONDS) as way, closing(Transport(way)) as transport:
                transport.get_security_options().key_types = kind
                transport.start_client(timeout=SECONDS)
                offered.append(transport.get_remote_server_key())
        except (SSHException, OSError, EOFError) as error:
            if advised := advice(host, str(error), Given(host.name)):
                raise HostKeyError(advised) from None
            if "Incompatible" not in f"{type(error).__name__} {error}":
                raise HostKeyError(f"no answer in the SSH protocol: {error}") from None
    if not offered:
        raise HostKeyError("it offers no key of a kind that is still thought safe")
    return Keys(there.known_name, files, tuple(offered), known(there.known_name, files))


def known(name: str, files: tuple[Path, ...]) -> tuple[PKey, ...]:
    """Return the keys that known_hosts files have for a name, hashed or not."""
    return openssh.lookup(name, files).keys


def write(keys: Keys, chosen: tuple[PKey, ...]) -> None:
    """Add `chosen` to the first of the files, in place of all keys that are there for the name.

    Raises:
        HostKeyError: the file cannot be written.
    """
    for file in keys.files if keys.known else ():
        if known(keys.name, (file,)):
            # A hashed name is one that ssh-keygen knows; the file before is kept as FILE.old.
            words = ["ssh-keygen", "-q", "-R", keys.name, "-f", str(file.resolve())]
            try:
                subprocess.run(words, check=True, capture_output=True, encoding="utf-8")
            except (OSError, subprocess.CalledProcessError) as error:
                said = getattr(error, "stderr", "") or str(error)
                raise HostKeyError(f"{shlex.join(words)}: {said.strip()}") from None
    file = keys.files[0]
    lines = "".join(HostKeyEntry([keys.name], key).to_line() or "" for key in chosen)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        whole = not (before := file.read_bytes()) or before.endswith(b"\n")
        with file.open("a", encoding="utf-8") as stream:
            stream.write(lines if whole else f"\n{lines}")
    except OSError as error:
        raise HostKeyError(f"{file} cannot be written: {error.strerror}") from None


def advice(host: Host, reason: str, given: Given) -> str | None:
    """Return what to do about the key that a connection failed for; None if it was not the key.

    `given` is what the user typed.
    """
    unknown, changed = _UNKNOWN.search(reason), _CHANGED.search(reason)
    found = unknown or changed
    if not found:
        return None
    if unknown:
        look = _trust(host, found[1], given)
        return f"the host key of {found[1]} is not known; look at it first: {look}"
    return (
        f"the host key of {found[1]} has CHANGED: the machine was made anew, or somebody is in "
        f"between; if you know why: {_trust(host, found[1], given, '--replace')}"
    )


def _trust(host: Host, name: str, given: Given, *words: str) -> str:
    """Return the `./claw trust` that is about `name`: the host itself, or a jump host."""
    there = resolved(host)
    for hop, text in zip(openssh.hops(there), there.jumps, strict=True):
        if name == hop.known_name:
            file = there.config_file
            own = (f"ssh_config_file={file}",) if file else ()
            return Given(text, own).command("trust", *words)
    return given.for_host("trust", host.name, *words)
