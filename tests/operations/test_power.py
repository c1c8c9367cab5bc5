"""Stop, start and restart: the script on a gateway that is a few files, and the operations."""

from __future__ import annotations

from pathlib import Path

import pytest

from operations import activation
from operations.base import snapshot, templates
from operations.lifecycle import power
from tests.operations.fake_gateway import Gateway
from tests.operations.hosts import at, commands
from toolkit import secret_names
from toolkit.settings import Settings


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    made = Gateway(tmp_path)
    made.set("status", "running\n")
    return made


def script(gateway: Gateway, service: bool = False, timeout: int = 20) -> str:
    return templates.render(
        "lifecycle/power.sh.j2",
        job="power",
        docker=gateway.functions,
        service=service,
        kind="container",
        project=str(gateway.project),
        url="http://127.0.0.1:1",
        timeout=timeout,
        secret_parts=secret_names.LOGGED,
        secrets=[],
    )


def marker(gateway: Gateway) -> Path:
    return gateway.project / "run/stopped"


def test_a_stop_waits_for_the_turn_and_says_for_how_long(gateway: Gateway) -> None:
    gateway.set("turn")
    process = gateway.start(script(gateway), "stop")
    assert process.stdout
    said = process.stdout.readline()
    assert "finishes what it is doing; " in said and "315 s at most" in said
    assert gateway.says("status") == "running"
    (gateway.fake / "turn").unlink()
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "the gateway has stopped, after " in rest
    assert gateway.says("status") == "exited"
    assert len(marker(gateway).read_text().strip()) == 20


def test_what_was_cut_is_said(gateway: Gateway) -> None:
    gateway.set("code", "137")
    code, said = gateway.run(script(gateway), "stop")
    assert code == 0
    assert "was killed after" in said


def test_a_start_waits_until_it_is_ready(gateway: Gateway) -> None:
    gateway.run(script(gateway), "stop")
    code, said = gateway.run(script(gateway), "start")
    assert (code, gateway.says("status")) == (0, "running")
    assert "the gateway is ready" in said
    assert not marker(gateway).exists()


def test_a_gateway_that_does_not_become_ready_is_a_failure_with_its_log(gateway: Gateway) -> None:
    gateway.set("status", "exited\n")
    gateway.set("env", "SOME_TOKEN=the-hidden-value\n")
    gateway.set("broken", "SOME_TOKEN\n")
    code, said = gateway.run(script(gateway), "start")
    assert code == 1
    assert "a line of the log with (hidden)" in said
    assert "does not become ready" in said


def test_a_long_wait_says_so_before_the_connection_is_given_up(gateway: Gateway) -> None:
    gateway.set("env", "SOME_TOKEN=the-hidden-value\n")
    gateway.set("broken", "SOME_TOKEN\n")
    date = gateway.programs / "date"
    date.write_text(date.read_text().replace("now + 1", "now + 40"))
    code, said = gateway.run(script(gateway, timeout=320), "start")
    assert code == 1
    assert "not ready yet, after 120 s of 320" in said
    assert said.count("not ready yet") == 2, said
    assert gateway.says("restarts").count("asked") == 2, "the engine is asked now and then"


def test_a_restart_stops_and_starts(gateway: Gateway) -> None:
    assert gateway.run(script(gateway), "restart")[0] == 0
    assert gateway.says("done").split("\n") == ["stop", "start again"]
    assert not marker(gateway).exists()
    gateway.set("status", "exited\n")
    assert gateway.run(script(gateway), "restart")[0] == 0
    assert gateway.says("status") == "running"


def test_a_service_does_not_come_back_by_itself(gateway: Gateway) -> None:
    program = gateway.programs / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$*" >>{gateway.fake}/systemd\n')
    program.chmod(0o755)
    text = f"unit=claw.service\n{script(gateway, service=True)}"
    assert gateway.run(text, "stop")[0] == 0
    assert gateway.run(text, "start")[0] == 0
    assert gateway.says("systemd").split("\n") == [
        "disable --quiet claw.service",
        "enable --quiet claw.service",
    ]


@pytest.mark.parametrize("mode", ["stop", "restart"])
def test_whatever_is_killed_is_finished_by_the_next(mode: str, gateway: Gateway) -> None:
    assert gateway.run(script(gateway), mode, kill_at=1)[0] != 0
    assert gateway.run(script(gateway), mode)[0] == 0
    assert gateway.says("status") == ("exited" if mode == "stop" else "running")
    assert marker(gateway).exists() == (mode == "stop")


def test_killed_at_once_it_reports_no_end_of_the_run_before(gateway: Gateway) -> None:
    assert gateway.run(script(gateway), "start")[0] == 0
    assert gateway.run(script(gateway), "start", kill_at=1)[0] != 0


def seen(**values: str) -> dict[str, str]:
    lines = {"status": "running", "image": "sha256:1", "wanted_image": "sha256:1", **values}
    return {"gateway": "".join(f"{key} {value}\n" for key, value in lines.items())}


SINCE = "2026-11-29T12:00:00Z"


@pytest.mark.parametrize(
    ("operation", "there", "mode"),
    [
        (power.stopped, seen(), "stop"),
        (power.stopped, seen(status="exited"), "stop"),
        (power.stopped, seen(status="exited", stopped=SINCE), None),
        (power.stopped, seen(status="running", stopped=SINCE), "stop"),
        (power.started, seen(), None),
        (power.started, seen(status="exited", stopped=SINCE), "start"),
        (power.restarted, seen(), "restart"),
        (power.restarted, seen(status="exited"), "restart"),
    ],
)
def test_only_what_differs_is_done(operation, there, mode, monkeypatch) -> None:
    monkeypatch.setattr(snapshot, "read_quietly", lambda *_: "done\n")
    found = commands(operation, there, settings=Settings())
    expected = [] if mode is None else [f"sh /opt/openclaw/run/power.sh {mode}"]
    assert [one.rpartition("&& ")[2] for one in found] == expected


def problems(check, there: dict[str, str]) -> list[str]:
    with at(Settings(), **there):
        return [one.what for one in check(Settings())]


def test_where_there_is_no_gateway_nothing_can_be_stopped_or_started() -> None:
    for check in (power.problems, power.start_problems):
        assert problems(check, {"gateway": "unfinished \n"}) == [
            "there is no gateway of the deployment openclaw"
        ]
        assert problems(check, seen()) == []
    half = seen(unfinished="candidate")
    assert problems(power.start_problems, half) == ["a swap of the gateway was interrupted"]
    assert problems(power.problems, half) == []


def test_a_time_that_is_none_is_not_shown() -> None:
    for said, shown in ((SINCE, SINCE), ("\x1b]0;evil", ""), ("", "")):
        assert activation.Running.parse([f"stopped {said}"]).stopped == shown
