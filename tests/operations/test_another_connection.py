"""A connection of its own, for who wants to know whether anybody still gets in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyinfra.api.exceptions import ConnectError, PyinfraError
from pyinfra.api.host import Host

from operations.base import connection
from toolkit import greenlets


class Client:
    closed = False

    def close(self) -> None:
        self.closed = True


class Connector:
    """As pyinfra's, whose first connections fail, or hang."""

    failing, hanging = 0, False
    tries = 0

    def __init__(self, state: Any, host: Any) -> None:
        self.client: Client | None = None

    def connect(self) -> None:
        Connector.tries += 1
        if Connector.hanging:
            greenlets.sleep(60)
        if Connector.tries <= Connector.failing:
            raise ConnectError("Could not connect (refused)")
        self.client = Client()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(connection, "AGAIN_SECONDS", 0)
    for name, value in {"failing": 0, "hanging": False, "tries": 0}.items():
        monkeypatch.setattr(Connector, name, value)
    there: Any = Connector(None, None)
    there.client = Client()
    return cast(Host, SimpleNamespace(state=None, connector=there))


def test_it_is_another_one_and_is_closed_again(host: Host) -> None:
    before: Any = host.connector
    with connection.anew(host, 5):
        made: Any = host.connector
        assert made.client is not before.client
    assert made.client.closed and not before.client.closed
    assert host.connector is before


def test_a_server_that_is_away_for_a_moment_is_asked_again(host: Host) -> None:
    Connector.failing = connection.CONNECT_TRIES - 1
    with connection.anew(host, 5):
        pass
    Connector.failing, Connector.tries = connection.CONNECT_TRIES, 0
    before = host.connector
    with pytest.raises(PyinfraError, match="refused"), connection.anew(host, 5):
        pytest.fail("it is not connected")
    assert host.connector is before


def test_one_that_does_not_come_is_an_error_in_time(host: Host) -> None:
    Connector.hanging = True
    before = host.connector
    with pytest.raises(PyinfraError, match="no answer"), connection.anew(host, 0.05):
        pytest.fail("it is not connected")
    assert host.connector is before and Connector.tries == 1


def test_without_ssh_there_is_only_what_there_is(host: Host) -> None:
    before: Any = host.connector
    before.client = None
    with connection.anew(host, 5):
        assert host.connector is before
