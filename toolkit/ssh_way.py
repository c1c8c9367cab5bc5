"""The way to a host: a TCP connection, or what `ssh -W` and a ProxyCommand lead through."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
from collections.abc import Callable, Iterator

from toolkit import greeting, openssh
from toolkit.greeting import Dropped
from toolkit.openssh import Resolved
from toolkit.ssh import SSHException


@contextlib.contextmanager
def way(there: Resolved, timeout: float) -> Iterator[socket.socket]:
    """Open the way to a host: a TCP connection, or what ProxyJump and ProxyCommand lead through.

    The socket is closed if the body fails, and is the caller's otherwise.

    Raises:
        OSError: nobody answers.
        SSHException: what leads there said why it does not; the key of a jump host is not known.
    """
    if not (there.jumps or there.command):
        found, said = _connected(there, timeout), None
    else:
        for hop in openssh.hops(there):
            if (
                hop.strict in ("ask", "yes")
                and not openssh.lookup(hop.known_name, hop.known_hosts).keys
            ):
                raise SSHException(f"No host key for {hop.known_name} found in known_hosts")
        found, said = _through(there)
    try:
        greeting.awaited(found, greeting.SECONDS)
        yield found
    except (SSHException, OSError, EOFError) as error:
        found.close()
        reason = said() if said else ""
        kind = Dropped if greeting.dropped(reason) else SSHException
        raise kind(reason) if reason else error from None
    except BaseException:
        found.close()
        raise


def _connected(there: Resolved, timeout: float) -> socket.socket:
    try:
        # Asked here first: what the resolver's thread raises, gevent would print.
        there.hostname.encode("idna")
    except UnicodeError:
        raise SSHException(
            f"{there.hostname!r:.100} is no host's name: a part of it is empty or longer than 63"
            " characters"
        ) from None
    errors: list[OSError] = []
    for family, kind, protocol, _, address in socket.getaddrinfo(
        there.hostname, there.port, there.family, socket.SOCK_STREAM
    ):
        found = socket.socket(family, kind, protocol)
        found.settimeout(timeout)
        try:
            if there.bind_address:
                found.bind((there.bind_address, 0))
            found.connect(address)
        except OSError as error:
            found.close()
            errors.append(error)
        else:
            return found
    raise errors[-1]


def _through(there: Resolved) -> tuple[socket.socket, Callable[[], str]]:
    """Return a socket that `ssh -W` or the ProxyCommand leads on, and what tells their errors."""
    if there.jumps:
        words = _jump(list(zip(there.jumps, openssh.hops(there), strict=True)), there)
    else:
        words = [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {there.command}"]
    ours, theirs = socket.socketpair()
    with theirs:
        os.set_blocking(theirs.fileno(), True)  # gevent's are not, and it is inherited
        end = theirs.fileno()
        process = subprocess.Popen(
            words, stdin=end, stdout=end, stderr=subprocess.PIPE, start_new_session=True
        )

    def said() -> str:
        """What it printed before it ended; '' while it runs."""
        try:
            _, text = process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            return ""
        lines = text.decode(errors="replace").strip().splitlines() if text else []
        return f"{shlex.join(words)}: {' '.join(lines)[-500:]}" if lines else ""

    return ours, said


def _jump(before: list[tuple[str, Resolved]], there: Resolved) -> list[str]:
    """Return the `ssh -W` that leads to a host through jump hosts, and asks nothing."""
    *further, (text, hop) = before
    name, user, port = openssh.hop(text)
    words = ["ssh", *openssh.file_option(there.config_file), "-o", "BatchMode=yes"]
    words += ["-o", "ServerAliveInterval=20"]
    if openssh.moved_home():
        known = " ".join(f'"{file}"' for file in hop.known_hosts)
        words += ["-o", f"UserKnownHostsFile={known}"]
    if further:
        command = shlex.join(_jump(further, hop)).replace("%", "%%")
        words += ["-o", f"ProxyCommand={command}"]
    words += ["-l", user] if user else []
    words += ["-p", str(port)] if port else []
    return [*words, "-W", f"[{there.hostname}]:{there.port}", "--", name]
