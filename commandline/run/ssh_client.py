"""The client that pyinfra's SSH connector is given: paramiko, told plain values by OpenSSH."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from paramiko import (
    Agent,
    BadHostKeyException,
    MissingHostKeyPolicy,
    PKey,
    SSHException,
    Transport,
)
from paramiko import SSHClient as ParamikoClient
from paramiko.agent import AgentRequestHandler
from pyinfra import logger
from pyinfra.api.exceptions import PyinfraError

from toolkit import greenlets, openssh, pyinfra_internals, ssh_way
from toolkit.greenlets import RLock
from toolkit.greeting import Dropped
from toolkit.openssh import KnownKeys, Resolved

TIMEOUT = 10.0
TRIES = 8
AT_ONCE_SECONDS = 5
"""A server that drops connections because others are logging in (`MaxStartups`) does so at once."""
IDLE_SECONDS = 10
"""How long a connection may be silent before paramiko's reader looks up, to see whether it is to
end or to be kept alive. By itself it does so ten times a second, which takes half a processor for a
thousand connections that wait for others."""
_AGENT = RLock()
_DROPPED = ("Connection lost", "No existing session")


def install() -> None:
    """Have pyinfra's connector use it."""
    pyinfra_internals.use_client(Client)


class Client(ParamikoClient):
    """Connects as `ssh` would: jump hosts, keys, agent, known hosts and limits of ssh_config."""

    identity_agent: str | None = None
    _ssh_config: dict[str, Any]

    def connect(  # type: ignore[override]
        self,
        hostname: str,
        _pyinfra_ssh_forward_agent: bool | None = None,
        _pyinfra_ssh_config_file: str | None = None,
        _pyinfra_ssh_known_hosts_file: str | None = None,
        _pyinfra_ssh_strict_host_key_checking: str | None = None,
        _pyinfra_ssh_paramiko_connect_kwargs: dict[str, Any] | None = None,
        **given: Any,
    ) -> None:
        """Connect; the arguments are pyinfra's.

        Raises:
            SSHException, OSError, EOFError: it cannot be connected, or its key is not the one that
                is known.
        """
        pyinfra_internals.support_security_keys()
        there = openssh.resolve(
            hostname, given.get("username"), given.get("port"), _pyinfra_ssh_config_file
        )
        files = openssh.files(there, _pyinfra_ssh_known_hosts_file)
        keys = openssh.lookup(there.known_name, files)
        pyinfra_internals.known_hosts_file(self, str(files[0]) if files else None)
        strict = _pyinfra_ssh_strict_host_key_checking or there.strict
        # paramiko knows no keys of its own: each one comes before this.
        self.set_missing_host_key_policy(Policy(there, strict, keys))
        config = {
            **given,
            **_login(there, given),
            **(_pyinfra_ssh_paramiko_connect_kwargs or {}),
            "port": there.port,
            "transport_factory": partial(_transport, keys),
        }
        self._ssh_config = config
        self.identity_agent = there.agent or None
        self._connect_when_not_busy(there, config)
        transport = self.get_transport()
        assert transport
        transport.sock.settimeout(min(IDLE_SECONDS, there.keep_alive or IDLE_SECONDS))
        if there.keep_alive:
            transport.set_keepalive(there.keep_alive)
        forward = _pyinfra_ssh_forward_agent
        if there.forward_agent if forward is None else forward:
            AgentRequestHandler(transport.open_session())

    def close(self) -> None:
        """Close the connection, at once: the reader, which paramiko waits for, is woken."""
        if transport := self.get_transport():
            with contextlib.suppress(OSError):  # it is gone already
                transport.sock.shutdown(socket.SHUT_RDWR)
        super().close()

    def _connect_when_not_busy(self, there: Resolved, config: dict[str, Any]) -> None:
        """Try again for a while where the server hangs up before anything was said."""
        timeout = config.get("timeout") or TIMEOUT
        for tries in count(1):
            started = time.monotonic()
            try:
                with ssh_way.way(there, timeout) as sock, _agent(there.agent):
                    return super().connect(there.hostname, **{**config, "sock": sock})
            except (SSHException, EOFError, ConnectionResetError) as error:
                self.close()
                dropped = isinstance(error, (Dropped, EOFError, ConnectionResetError)) or any(
                    words in str(error) for words in _DROPPED
                )
                at_once = time.monotonic() - started < AT_ONCE_SECONDS
                if not (dropped and at_once) or tries == TRIES:
                    if "No existing session" in str(error):
                        raise SSHException("it speaks SSH, and then says nothing more") from None
                    raise
                greenlets.sleep(random.uniform(0.2, 1.5))


class Policy(MissingHostKeyPolicy):
    """Judges the key of a host: by known_hosts, and else as `StrictHostKeyChecking` says."""

    def __init__(self, there: Resolved, strict: str, keys: KnownKeys) -> None:
        self.there, self.strict, self.keys = there, strict, keys

    def missing_host_key(self, client: ParamikoClient, hostname: str, key: PKey) -> None:
        """Return if the key is known or accepted.

        Raises:
            BadHostKeyException: another one is known.
            SSHException: none is known, and a new one is not accepted; or it is revoked.
        """
        name = self.there.known_name
        if key in self.keys.revoked:
            raise SSHException(f"the host key of {name} is revoked in known_hosts")
        if key in self.keys.keys:
            return
        if self.keys.keys:
            raise BadHostKeyException(self.there.hostname, key, self.keys.keys[0])
        if self.strict == "accept-new":
            pyinfra_internals.add_host_key(client, name, key)
            logger.warning(f"{name}: its host key is new and was added to known_hosts")
        elif self.strict in ("no", "off", "false"):
            logger.warning(f"{name}: its host key is not known (StrictHostKeyChecking no)")
        else:
            raise SSHException(f"No host key for {name} found in known_hosts")


def _transport(keys: KnownKeys, sock: Any, **options: Any) -> Transport:
    """Return a transport that prefers the kinds of keys that are known."""
    transport = Transport(sock, **options)
    security = transport.get_security_options()
    kinds = {kind for key in keys.keys for kind in _kinds(key)}
    security.key_types = sorted(security.key_types, key=lambda kind: kind not in kinds)
    return transport


def _kinds(key: PKey) -> tuple[str, ...]:
    name = key.get_name()
    return ("rsa-sha2-512", "rsa-sha2-256", name) if name == "ssh-rsa" else (name,)


def _login(there: Resolved, given: dict[str, Any]) -> dict[str, Any]:
    """Return paramiko's arguments for the login, from ssh_config."""
    config: dict[str, Any] = {"username": there.user, "look_for_keys": False}
    if there.timeout and "timeout" not in given:
        config["timeout"] = there.timeout
    if there.agent is None:
        config["allow_agent"] = False
    if "pkey" in given:  # the key that the host data name
        return config
    wanted = there.identities if given.get("look_for_keys") else there.own_identities
    existing = [path for path in map(os.path.expanduser, wanted) if Path(path).is_file()]
    if there.identities_only:
        config["allow_agent"] = False
        with _agent(there.agent):
            if held := _held_by_agent(existing):
                return {**config, "pkey": held}
    if there.certificates and existing:
        # paramiko itself finds a certificate only beside its key.
        with contextlib.suppress(PyinfraError, SSHException, OSError):
            key = pyinfra_internals.certified_key(existing[0], there.certificates[0])
            return {**config, "pkey": key}
    return {**config, "key_filename": existing}


def _held_by_agent(identities: list[str]) -> PKey | None:
    """Return the first key of the agent that belongs to one of the identity files."""
    public = set()
    for path in identities:
        with contextlib.suppress(OSError, IndexError):
            public.add(Path(f"{path}.pub").read_text(encoding="utf-8", errors="replace").split()[1])
    return next((key for key in Agent().get_keys() if key.get_base64() in public), None)


@contextlib.contextmanager
def _agent(socket: str | None) -> Iterator[None]:
    """Let paramiko find the agent that ssh_config names, or none; it only knows the environment."""
    if socket == "":
        yield
        return
    with _AGENT:
        before = os.environ.pop("SSH_AUTH_SOCK", None)
        if socket:
            os.environ["SSH_AUTH_SOCK"] = str(Path(socket).expanduser())
        try:
            yield
        finally:
            os.environ.pop("SSH_AUTH_SOCK", None)
            if before is not None:
                os.environ["SSH_AUTH_SOCK"] = before
