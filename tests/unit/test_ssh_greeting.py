"""What answers at a port is told apart before paramiko reads it: in one line, in a bounded time."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paramiko import SSHException

from toolkit import openssh, ssh_way
from toolkit.greeting import Dropped, awaited

HTTP = b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"
GREETING = b"SSH-2.0-OpenSSH_9.2\r\n"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("before", [b"", b"Welcome\r\n\r\n", b"x" * 9000 + b"\nSSX\n"])
def test_the_greeting_is_left_there(before: bytes, pair: tuple) -> None:
    ours, theirs = pair
    theirs.sendall(before + GREETING + b"\0\0binary")
    ours.settimeout(7)
    awaited(ours, 5)
    assert ours.recv(1000) == GREETING + b"\0\0binary"
    assert ours.gettimeout() == 7


def test_a_greeting_that_comes_in_pieces(pair: tuple) -> None:
    ours, theirs = pair
    pieces = [b"S", b"SH-2.", b"0-x", b"\r\n"]
    sender = threading.Thread(target=lambda: [theirs.sendall(piece) for piece in pieces])
    sender.start()
    awaited(ours, 5)
    sender.join()
    assert ours.recv(100) == b"SSH-2.0-x\r\n"


def ended(theirs: socket.socket) -> None:
    theirs.close()


def silent(theirs: socket.socket) -> None:
    pass


@pytest.mark.parametrize(
    ("said", "then", "kind", "message"),
    [
        (b"", ended, Dropped, "it ended the connection before it said anything"),
        (b"Exceeded MaxStartups\r\n", ended, Dropped, "it ended the connection"),
        (b"", silent, SSHException, "it has said nothing for 0.1 s"),
        (HTTP, ended, SSHException, "no SSH server; it says 'HTTP/1.1 400 Bad Request Server: x'"),
        (HTTP, silent, SSHException, "it is no SSH server; it says 'HTTP/1.1 400"),
        (b"x" * 20000, silent, SSHException, "it is no SSH server; it says 'xxx"),
        (b"x\n" * 10000, silent, SSHException, "it is no SSH server; it says 'x x"),
        (b"SSH-" + b"x" * 9000, silent, SSHException, "it is no SSH server"),
        (b"SSH-2.0-x", silent, SSHException, "it is no SSH server"),
        (b"\x1b]52;c;ZXZpbA==\x07\x1b[2J", ended, SSHException, "it is no SSH server; it says '␛"),
        (os.urandom(20000).replace(b"SSH", b"x"), silent, SSHException, "it is no SSH server"),
    ],
)
def test_what_is_no_ssh_server(
    said: bytes, then: Callable, kind: type, message: str, pair: tuple
) -> None:
    ours, theirs = pair
    theirs.sendall(said)
    then(theirs)
    with pytest.raises(SSHException) as refused:
        awaited(ours, 0.1)
    assert type(refused.value) is kind
    assert message in str(refused.value)
    assert len(str(refused.value)) < 500
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", ["a..b", "a" * 64 + ".example", "a" * 300])
def test_a_name_that_no_resolver_takes(name: str) -> None:
    there = openssh.resolve(name, config_file=os.devnull)
    with pytest.raises(SSHException, match="is no host's name"), ssh_way.way(there, 1):
        pass


def test_a_connection_comes_from_the_address_that_ssh_config_binds(tmp_path: Path) -> None:
    configuration = tmp_path / "config"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        configuration.write_text(
            f"Host there\nHostName 127.0.0.1\nPort {port}\nBindAddress 127.0.0.2\n"
        )
        there = openssh.resolve("there", config_file=str(configuration))
        peers = []

        def greeted() -> None:
            one, peer = server.accept()
            peers.append(peer[0])
            one.sendall(b"SSH-2.0-x\r\n")

        thread = threading.Thread(target=greeted)
        thread.start()
        with ssh_way.way(there, 5) as found:
            found.close()
        thread.join()
    assert peers == ["127.0.0.2"]
