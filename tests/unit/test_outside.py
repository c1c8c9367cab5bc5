"""What answers on addresses, which of them are a host's, and what is to answer there."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import paramiko
import pytest
from paramiko import PKey

from commandline.results import HostResult
from commandline.run import outside as looking
from commandline.run.outside import Expected, Place
from commandline.screen.outcome import outside_line
from operations.base import templates
from operations.base.check import Check
from toolkit import openssh, outside
from toolkit.outside import Seen
from toolkit.settings import Settings

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


def speaks(key: PKey) -> Callable[[socket.socket], None]:
    """A server of the SSH protocol that has a key."""

    def speak(way: socket.socket) -> None:
        transport = paramiko.Transport(way)
        transport.add_server_key(key)
        with suppress(EOFError, paramiko.SSHException):
            transport.start_server(server=paramiko.ServerInterface())

    return speak


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
    port = serve(speaks(key))
    assert outside.same_host("127.0.0.1", port, key)
    assert not outside.same_host("127.0.0.1", port, other)
    assert not outside.same_host("127.0.0.1", serve(socket.socket.close), key)


def test_only_public_addresses_mean_the_same_here() -> None:
    said = ["10.0.0.5", "172.17.0.1", "203.0.113.7", "1.2.3.4", "fe80::1", "2606:4700::1", "x;y"]
    assert [one for one in outside.usable(said) if outside.is_public(one)] == [
        "1.2.3.4",
        "2606:4700::1",
    ]
    assert len(outside.usable(f"1.2.3.{number}" for number in range(256))) < 20


OURS = {18789: "the gateway", 2375: "the engine's API"}
OPEN = Expected(frozenset({22, 443}), frozenset({443}), OURS)
CLOSED = Expected(frozenset({22, 443}), frozenset({443}), OURS, closed=True)


@pytest.mark.parametrize(
    ("expected", "seen", "outcome", "words"),
    [
        (OPEN, Seen("1.2.3.4", (22, 443), (443,)), "ok", "open, as wanted: 22, 443 (WebSocket)"),
        (OPEN, Seen("1.2.3.4", (22, 443, 8080)), "ok", "open, and not the toolkit's: 8080"),
        (CLOSED, Seen("1.2.3.4", (22, 443, 8080)), "failed", "not to be: 8080 (host.firewall"),
        (OPEN, Seen("1.2.3.4", (22, 443, 18789)), "failed", "not to be: 18789 (the gateway)"),
        (OPEN, Seen("1.2.3.4", (22, 443, 2375)), "failed", "not to be: 2375 (the engine's API)"),
        (OPEN, Seen("1.2.3.4", (22,)), "unknown", "not answered: 443"),
        (OPEN, Seen("1.2.3.4"), "unknown", "not even its SSH server"),
        (OPEN, Seen("2606:4700::1", way=False), "unknown", "no way there (IPv6)"),
    ],
)
def test_what_is_seen_is_judged_by_what_is_wanted(
    expected: Expected, seen: Seen, outcome: str, words: str
) -> None:
    found = looking.judged(seen, expected)
    assert found.outcome == outcome and words in found.detail


def expected(**given: Any) -> Expected:
    return Expected.of(Settings.model_validate(given), 22, closed=False)


def test_what_is_published_on_purpose_is_wanted_and_nothing_else_of_ours() -> None:
    assert expected().wanted == {22} and 18789 in expected().ours
    https = expected(exposure={"https": {"domain": "claw.example.org"}})
    assert https.wanted == {22, 80, 443} and {18789, 18799, 2019} <= https.ours.keys()
    assert 18789 in expected(gateway={"address": "0.0.0.0"}).wanted
    assert {8443, 51820} & expected(host={"firewall": {"allow": ["8443"]}}).wanted == {8443}


def test_an_address_of_this_machine_is_not_tried_as_the_hosts() -> None:
    assert outside.own("127.0.0.1") and not outside.own("192.0.2.1")


@pytest.mark.skipif(not shutil.which("ssh-keyscan"), reason="needs OpenSSH's client")
def test_another_host_looks_with_what_it_has(serve: Serve) -> None:
    key, other = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
    plain, upgrading, ssh = serve(socket.socket.close), serve(websocket), serve(speaks(key))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        shut = bound.getsockname()[1]

    def seen(known: PKey) -> list[Seen | str]:
        script = templates.render(
            "outside/look.sh.j2",
            addresses=[("127.0.0.1", True)],
            ssh=ssh,
            kind="ecdsa",
            key=known.get_base64(),
            ports=[plain, upgrading, shut],
            seconds=5,
            name="localhost",
        )
        done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True)
        return list(looking.parse(done.stdout, ["127.0.0.1"], [plain, upgrading, shut]))

    assert seen(key) == [Seen("127.0.0.1", tuple(sorted((plain, upgrading))), (upgrading,))]
    assert seen(other) == ["127.0.0.1"]


def place(known: tuple[str, ...], claimed: tuple[str, ...] = (), jump: str = "") -> Place:
    there = replace(openssh.resolve("203.0.113.9"), jumps=(jump,) if jump else ())
    return Place(there, known, claimed, paramiko.ECDSAKey.generate(), OPEN, None)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (place(("127.0.0.1",)), "127.0.0.1: not tried: it is this machine's own"),
        (
            place(("10.0.0.5",), jump="gate"),
            "10.0.0.5: not tried: the host is reached through gate",
        ),
        (place((), jump="gate"), "203.0.113.9 has no address here"),
        (place(("1.2.3.4",), ("1.2.3.4", "10.0.0.5")), "1.2.3.4: open, as wanted: 22"),
        (place(("1.2.3.4",), ("10.0.0.5",)), "of the host's own: NAT"),
        (
            place(("1.2.3.4",), ("1.2.3.4", "5.6.7.8")),
            "5.6.7.8: not tried: the host says it has it",
        ),
        (
            place(("1.2.3.4",), ("2606:4700::1",)),
            "2606:4700::1: not tried: this machine has no way",
        ),
    ],
)
def test_what_cannot_be_looked_at_is_said(
    one: Place, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_port = replace(OPEN, asked=frozenset())
    tried: list[str] = []

    def look(address: str, *_: object) -> Seen:
        tried.append(address)
        return Seen(address, (22,))

    monkeypatch.setattr(outside, "look", look)
    monkeypatch.setattr(outside, "has_way", lambda address: ":" not in address)
    monkeypatch.setattr(outside, "same_host", lambda *_: False)
    assert words in looking.sentence(looking.looked(replace(one, expected=open_port)))
    assert set(tried) <= {"1.2.3.4"}, "what only the host names, or is another's here, is not tried"


def test_another_host_has_a_word_only_on_what_it_was_asked() -> None:
    said = "open 1.2.3.4 22\nopen 1.2.3.4 23\nopen 5.6.7.8 22\nwebsocket 1.2.3.4 22\nopen\n\x1b[2J"
    assert list(looking.parse(said, ["1.2.3.4"], [22])) == [Seen("1.2.3.4", (22,), (22,))]
    assert list(looking.parse("noway 1.2.3.4", ["1.2.3.4"], [22])) == [Seen("1.2.3.4", way=False)]


def test_one_line_says_it_of_a_host_and_of_a_fleet() -> None:
    fine = Check("outside 1.2.3.4", "ok", "open, as wanted: 22")
    unseen = Check("outside", "unknown", "not looked at: no way")
    one = HostResult(outside=[fine])
    assert outside_line({"a": one}) == ("1.2.3.4: open, as wanted: 22", "green")
    fleet = {"a": one, "b": HostResult(outside=[fine]), "c": HostResult(outside=[unseen])}
    text, style = outside_line({**fleet, "d": HostResult()})
    assert text == "a, b: open, as wanted; c: not looked at: no way" and style == "yellow"
    assert outside_line({"a": HostResult()})[0] == ""
