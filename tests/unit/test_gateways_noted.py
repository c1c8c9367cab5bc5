"""What the table at the end of a run says of gateways."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from commandline.results import HostResult, OperationResult, RunResult
from commandline.run import last_seen
from commandline.screen.display import Display
from operations import activation
from operations.activation import Running
from toolkit.terminal import Screen

RAN = OperationResult("Images | Build", 1.0, True)
READY = Running(status="running", version="2026.9.6", probes={"readyz": "200"})


class Host:
    def __init__(self, name: str) -> None:
        self.name = name


class Session:
    def __init__(self, hosts: list[Host], lost: str = "") -> None:
        self.hosts, self._lost = hosts, lost

    def lost(self, host: Host) -> bool:
        return host.name == self._lost

    def on_each(self, hosts: list[Host], function: Any) -> None:
        for host in hosts:
            function(host)


@pytest.mark.parametrize("answers", [True, False])
def test_a_host_that_changed_is_asked_again(monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:
    """What was known of it before the change counts no more; one that is lost is not asked."""
    seen: dict[str, Running] = {"same": READY}
    asked: list[str] = []

    def read(host: Host) -> None:
        asked.append(host.name)
        if not answers:
            raise PyinfraError("no answer")
        seen[host.name] = READY

    monkeypatch.setattr(
        last_seen.snapshot, "known", lambda host: {"x": ""} if host.name in seen else {}
    )
    monkeypatch.setattr(last_seen.snapshot, "read", read)
    monkeypatch.setattr(activation, "known", lambda host: seen.get(host.name, Running()))
    session: Any = Session([Host("same"), Host("changed"), Host("left out"), Host("gone")], "gone")
    session.display = Display(Screen(file=io.StringIO()))
    result = RunResult(
        hosts={
            "same": HostResult(),
            "changed": HostResult(operations=[RAN]),
            "left out": HostResult(left_out="x"),
            "gone": HostResult(operations=[RAN], failed="x"),
        }
    )
    last_seen.note_gateways(session, result)
    assert asked == ["changed"]
    found = {name: (one.version, one.health) for name, one in result.hosts.items()}
    ready = ("2026.9.6", "ready")
    assert found["same"] == ready
    assert found["changed"] == (ready if answers else ("", ""))
    assert found["left out"] == found["gone"] == ("", "")
