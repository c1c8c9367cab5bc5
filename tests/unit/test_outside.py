"""`./claw verify --outside`: what answers on addresses, and which of them are a host's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import paramiko
import pytest

from commandline.verbs import verify
from toolkit import outside

Serve = Callable[[Callable[[socket.socket], None]], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(answer)`: the port of a server on the loopback; `answer` has each connection."""
    listeners = []

    def make(answer: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept() -> None:
            while True:
                try:
                    way, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(way,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    yield make
    for one in listeners:
        one.close()


def websocket(way: socket.socket) -> None:
    asked = way.recv(4096)
    way.sendall(b"HTTP/1.1 101 Switching\r\n\r\n" if b"Upgrade: websocket" in asked else b"no")
    way.close()


def test_open_ports_are_found_and_who_takes_a_websocket(serve: Serve) -> None:
    plain, upgrading = serve(socket.socket.close), serve(websocket)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        closed = bound.getsockname()[1]
    seen = outside.look("127.0.0.1", [plain, upgrading, closed])
    assert seen.ports == tuple(sorted((plain, upgrading)))
    assert seen.websockets == (upgrading,)


def test_a_host_names_only_its_own_addresses(serve: Serve) -> None:
    """Somebody else's address that it says it has is not tried: it lacks his key."""
    key, other = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()

    def speak(way: socket.socket) -> None:
        transport = paramiko.Transport(way)
        transport.add_server_key(key)
        with suppress(EOFError):
            transport.start_server(server=paramiko.ServerInterface())

    port = serve(speak)
    assert outside.same_host("127.0.0.1", port, key)
    assert not outside.same_host("127.0.0.1", port, other)
    assert not outside.same_host("127.0.0.1", serve(socket.socket.close), key)


def test_only_public_addresses_mean_the_same_here() -> None:
    said = ["10.0.0.5", "172.17.0.1", "203.0.113.7", "1.2.3.4", "fe80::1", "2606:4700::1", "x;y"]
    assert outside.public(said) == ["1.2.3.4", "2606:4700::1"]
    assert len(outside.public(f"1.2.3.{number}" for number in range(256))) < 20


@pytest.mark.parametrize(
    ("seen", "outcome", "words"),
    [
        (outside.Seen("1.2.3.4", (22, 443), (443,)), "ok", "22, 443 (WebSocket)"),
        (outside.Seen("1.2.3.4", (22, 6379)), "failed", "not wanted: 6379"),
        (outside.Seen("1.2.3.4"), "unknown", "not even its SSH server"),
        (outside.Seen("2606:4700::1", way=False), "unknown", "no way there"),
    ],
)
def test_what_is_seen_is_not_guessed(seen: outside.Seen, outcome: str, words: str) -> None:
    found = verify.judged(seen, {22, 443}, 60)
    assert found.outcome == outcome and words in found.detail
