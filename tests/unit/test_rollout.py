"""In which steps a fleet is changed, and what is remembered of a run."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import State
from pyinfra.context import ctx_state

from commandline.results import HostResult, OperationResult, RunResult
from commandline.run import audit, history
from commandline.run.hooks import Event
from commandline.targets import TargetError, choose, load_inventory
from toolkit.settings import SettingsError
from toolkit.settings.rollout import Rollout, RolloutError, rollout_for

CHANGED = OperationResult("Engine | Install", 2.0, True)
BROKEN = OperationResult("Images | Build", 1.0, False, failed=True)


def steps(hosts: str, running: str | None = None, **settings: Any) -> list[str]:
    rollout = Rollout.model_validate(settings)
    up = hosts if running is None else running
    return ["".join(batch) for batch in rollout.batches(list(hosts), lambda host: host in up)]


@pytest.mark.parametrize(
    ("hosts", "settings", "expected"),
    [
        ("", {}, []),
        ("a", {}, ["a"]),
        ("abcd", {}, ["abcd"]),
        ("abcde", {}, ["a", "bc", "de"]),
        ("abcdefgh", {}, ["a", "bc", "de", "fg", "h"]),
        ("abcd", {"canary": 1}, ["a", "b", "c", "d"]),
        ("abcd", {"batch": 2}, ["a", "bc", "d"]),
        ("abcd", {"canary": 0, "batch": "100%"}, ["abcd"]),
        ("abcde", {"canary": 0, "batch": "10%"}, ["a", "b", "c", "d", "e"]),
        ("ab", {"canary": 5}, ["ab"]),
        ("a", {"canary": 1, "batch": 1}, ["a"]),
    ],
)
def test_steps(hosts: str, settings: dict[str, Any], expected: list[str]) -> None:
    assert steps(hosts, **settings) == expected


def test_hosts_without_a_gateway_go_first_unless_steps_were_asked_for() -> None:
    assert steps("abcdefgh", running="") == ["abcdefgh"]
    assert steps("abcdefgh", running="abcd") == ["abcdefgh"]
    assert steps("abcdefgh", running="bcdef") == ["abgh", "cd", "ef"]
    assert steps("abcd", running="", batch=2) == ["a", "bc", "d"]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"canary": -1}, {"batch": "0%"}, {"batch": "101%"}, {"batch": "ten"}, {"batch": True}),
        *({"max_failures": "1"}, {"parallel": 0}, {"before": ""}, {"after": 3}, {"canry": 1}),
    ],
)
def test_wrong_settings_are_named_with_what_is_accepted(tmp_path: Path, wrong: Any) -> None:
    (key,) = wrong
    text = f"hosts:\n  a: {{}}\nrollout:\n  {key}: {json.dumps(wrong[key])}\n"
    (tmp_path / "fleet.yml").write_text(text)
    (tmp_path / "fleet.py").write_text(f"hosts = ['a']\nrollout = {wrong!r}\n")
    with pytest.raises(SettingsError, match=rf"line 4: rollout\.{key}: .*accepted: "):
        load_inventory(str(tmp_path / "fleet.yml"), {})
    with (
        ctx_state.use(State()),
        pytest.raises(RolloutError, match=rf"rollout\.{key}: .*accepted: "),
    ):
        rollout_for(load_inventory(str(tmp_path / "fleet.py"), {}), {})


def test_options_win_over_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "fleet.yml").write_text(
        "hosts:\n  a: {}\nrollout:\n  canary: 2\n  batch: 10%\n  before: ./announce\n"
    )
    inventory = load_inventory(str(tmp_path / "fleet.yml"), {})
    rollout = rollout_for(inventory, {"batch": "3", "canary": None})
    assert (rollout.canary, rollout.batch, rollout.before) == (2, "3", "./announce")
    with pytest.raises(RolloutError, match="--batch: given 'x'; accepted"):
        rollout_for(inventory, {"batch": "x"})


def test_a_group_may_be_called_rollout(tmp_path: Path) -> None:
    (tmp_path / "fleet.py").write_text("rollout = ['a', 'b']\n")
    with ctx_state.use(State()):
        inventory = load_inventory(str(tmp_path / "fleet.py"), {})
    assert rollout_for(inventory, {}) == Rollout()
    assert list(inventory.groups["rollout"]) == list(inventory)


def test_choosing_hosts() -> None:
    inventory = load_inventory("root@web1,root@web2,root@db", {})

    def names(limit: str = "", exclude: str = "", failed: str = "") -> list[str]:
        given = tuple(part for part in (limit,) if part), tuple(part for part in (exclude,) if part)
        chosen = choose(inventory, *given, unfinished=failed.split)
        return [host.name for host in (inventory if chosen is None else chosen)]

    assert names() == ["web1", "web2", "db"]
    assert names("db,web*") == ["web1", "web2", "db"]
    assert names("web*", "web1") == ["web2"]
    assert names(exclude="db") == ["web1", "web2"]
    assert names("@failed", failed="gone db") == ["db"]
    assert names(exclude="@failed", failed="web1") == ["web2", "db"]
    for wrong in (("@failed", ""), ("x", ""), ("", "x"), ("db", "db")):
        with pytest.raises(TargetError, match=r"@failed|no such host|leaves no host"):
            names(*wrong)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "openclaw-pyinfra"


def test_unfinished_hosts_are_kept_until_a_run_finishes_them(state: Path) -> None:
    def ran(**hosts: HostResult) -> list[str]:
        history.note("fleet.yml", RunResult(hosts=hosts), pytest.fail)
        return history.unfinished("./fleet.yml", pytest.fail)

    bad = HostResult(failed="x")
    assert ran(a=HostResult(), b=bad, c=HostResult(left_out="its turn did not come")) == ["b", "c"]
    (file,) = state.glob("unfinished/*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ran(a=HostResult()) == ["b", "c"]  # had neither
    assert ran(b=HostResult()) == ["c"]
    assert history.unfinished("other.yml", pytest.fail) == []
    assert ran(c=HostResult()) == []
    assert not file.exists()


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"", b"[1, 2]", b"3", b"null", b"\xff", b'"unfinished"', b"{}", b"[" * 100_000),
        *(b'{"unfinished": "web1"}', b'{"unfinished": [1]}', b'{"unfinished": null}'),
    ],
)
def test_a_damaged_file_is_said_and_written_anew(state: Path, damaged: bytes) -> None:
    hosts = {"a": HostResult(failed="x")}
    history.note("fleet.yml", RunResult(hosts=hosts), pytest.fail)
    (file,) = state.glob("unfinished/*")
    file.write_bytes(damaged)
    said: list[str] = []
    assert history.unfinished("fleet.yml", said.append) == []
    assert len(said) == 1
    assert str(file) in said[0]
    history.note("fleet.yml", RunResult(hosts=hosts), said.append)
    assert history.unfinished("fleet.yml", pytest.fail) == ["a"]


def test_a_file_that_cannot_be_read_is_said(state: Path) -> None:
    hosts = {"a": HostResult(failed="x")}
    history.note("fleet.yml", RunResult(hosts=hosts), pytest.fail)
    (file,) = state.glob("unfinished/*")
    file.unlink()
    file.mkdir()
    said: list[str] = []
    assert history.unfinished("fleet.yml", said.append) == []
    assert "Is a directory" in said[0]


def test_the_newest_timelines_are_kept(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 2)
    moments = iter(["20260101T000000Z", "20260102T000000Z", "20260103T000000Z"])
    monkeypatch.setattr(history.time, "strftime", lambda *_: next(moments))
    paths = [history.keep_timeline("my fleet.yml", "<html>") for _ in range(3)]
    assert [path.exists() for path in paths] == [False, True, True]
    assert "my-fleet" in paths[2].name
    assert stat.S_IMODE(paths[2].stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("host", "result"),
    [
        (HostResult(operations=[CHANGED]), "done"),
        (HostResult(operations=[CHANGED, BROKEN], failed="Images | Build"), "failed"),
        (HostResult(operations=[BROKEN], failed="interrupted in: Images"), "interrupted"),
        (HostResult(operations=[CHANGED], left_out="interrupted"), "interrupted"),
    ],
)
def test_the_line_on_the_host(host: HostResult, result: str) -> None:
    host.output = ["a secret"]
    text = audit.line(host, "id", "me@here (pid 1)", "fleet.yml", "2026.9.6")
    entry = json.loads(text)
    assert entry["result"] == result
    assert entry["changed"] == host.changed
    assert entry["versions"]["openclaw"] == "2026.9.6"
    assert "secret" not in text and "\n" not in text


def test_no_line_where_nothing_changed() -> None:
    same = HostResult(operations=[OperationResult("Engine | Install", 0.1, False)])
    assert audit.line(same, "id", "me", "fleet.yml", "") == ""


def test_what_a_command_is_told() -> None:
    before = Event("fleet.yml", ("a", "b"), failed=("c",)).environment()
    assert before == {
        "CLAW_TARGET": "fleet.yml",
        "CLAW_HOSTS": "a b",
        "CLAW_CHANGED": "",
        "CLAW_FAILED": "c",
        "CLAW_EXIT_CODE": "",
    }
