"""What the bench concludes from what it measured, and that its longer way loses nothing."""

from __future__ import annotations

import socket
import threading

from bench import tables
from bench.again import Counted, Measured
from bench.delay import Delay
from bench.doors import Command
from bench.first import Cores, First
from bench.ways import ANSIBLE_WAY, FLOOR, OURS, PYINFRA


def test_each_target_is_said_to_be_met_or_not() -> None:
    measured = Measured([1, 8], [0, 40], {OURS: 2, FLOOR: 2, PYINFRA: 1, ANSIBLE_WAY: 1})
    for size in measured.sizes:
        for delay in measured.delays:
            measured.seconds[OURS, size, delay] = {0: 2.5, 1: 2.5}
            measured.seconds[FLOOR, size, delay] = {0: 1.0, 1: 1.0}
    measured.seconds[ANSIBLE_WAY, 1, 0] = {0: 50.0}
    measured.seconds[PYINFRA, 1, 0] = {0: 5.0}
    measured.counted[OURS] = Counted([Command("id -u", 0.1)] * 9, 20)
    assert list(tables.targets(measured)) == [
        ("1 host: at most 3 times the floor", "2.50", "met"),
        ("1 host, 80 ms of round trip: at most 2 times the floor", "2.50", "**not met**"),
        ("1 host: at least 20 times faster than Ansible", "20.0", "met"),
        ("1 host: at least 4 times faster than plain pyinfra", "2.0", "**not met**"),
        ("8 hosts: at most 2 times the floor", "2.50", "**not met**"),
        ("8 hosts, 80 ms of round trip: at most 2 times the floor", "2.50", "**not met**"),
        ("8 hosts: at least 50 times faster than Ansible", "not measured", ""),
        ("at most 8 commands per host", "9", "**not met**"),
    ]
    assert "| **this toolkit** | 2.50 (2.5) | 2.50 (2.5) | 9 | 20 |" in tables.again(measured)


def test_ratios_are_of_the_same_round() -> None:
    measured = Measured([1], [0], {})
    measured.seconds[OURS, 1, 0] = {0: 1.0, 1: 10.0, 2: 30.0}
    measured.seconds[FLOOR, 1, 0] = {1: 5.0, 2: 10.0}
    assert measured.ratio(OURS, FLOOR, 1, 0) == 2.5


def test_no_more_is_taken_off_for_the_cores_than_was_waited_for_them() -> None:
    def deploy(wall: float, busy: float, saturated: float) -> First:
        return First(1, {}, wall, Cores(2, busy, saturated))

    single = deploy(200, 100, 20)
    assert deploy(600, 500, 400).apart(single) == 600 - (500 - 100) / 2
    assert deploy(600, 500, 60).apart(single) == 600 - (60 - 20)
    assert single.apart(single) == 200


def test_the_longer_way_passes_everything_on_and_counts_the_turns() -> None:
    sent = bytes(range(256)) * 20_000
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo() -> None:
            with server.accept()[0] as client:
                while data := client.recv(1 << 16):
                    client.sendall(data)

        threading.Thread(target=echo, daemon=True).start()
        with (
            Delay([server.getsockname()], 0.01) as way,
            socket.create_connection(("127.0.0.1", way.ports[0])) as client,
        ):
            for _ in range(3):
                client.sendall(b"x")
                assert client.recv(1) == b"x"
            assert way.turns == 1 + 2  # the connection, and what followed an answer
            threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
            got = b""
            while len(got) < len(sent):
                got += client.recv(1 << 20)
            assert got == sent
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
