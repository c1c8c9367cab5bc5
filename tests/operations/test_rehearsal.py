"""A new image on a copy of the state, before the old gateway stops: the script on a gateway and an
engine that are a few files, cut at any of its steps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.operations.fake_upgrade import NEW, UID, Deployed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")


@pytest.fixture
def one(tmp_path: Path) -> Deployed:
    return Deployed(tmp_path)


def test_the_new_image_is_tried_while_the_old_gateway_serves(one: Deployed) -> None:
    code, said = one.run(one.activation(), "activate")
    assert code == 0, said
    assert "rehearsal: the new image became ready on a copy of the state in " in said
    assert '"sessions":3' in said and "downtime: " in said
    assert one.swapped() and not one.left()
    asked = one.says("asked")
    assert asked.index("backup restore") < asked.index("openclaw gateway")
    assert all("--network none" in line for line in asked.splitlines() if "docker run" in line)
    assert "openclaw:last-good" in one.says("archived-by"), "who wrote the state reads it"
    # Nothing is rehearsed where nothing changes.
    one.set("asked")
    assert one.run(one.activation(), "activate")[0] == 0
    assert "backup" not in one.says("asked")


@pytest.mark.parametrize(
    ("afterwards", "expected"),
    [
        ('{"agents":1,"sessions":2,"cron_jobs":null}\n', "holds less than the old one: sessions 3"),
        ("broken\n", "what the new gateway holds cannot be counted"),
    ],
)
def test_a_real_state_that_comes_to_less_goes_back(
    afterwards: str, expected: str, one: Deployed
) -> None:
    """As after `--no-rehearsal`, or when the real one fares otherwise than the copy."""
    one.set("afterwards", afterwards)
    one.set("lossy", f"{NEW}\n")
    code, said = one.run(one.activation(), "unrehearsed")
    assert code == 1 and expected in said, said
    assert "holds less; the last good one is running again" in said
    assert not one.swapped() and (one.config / "openclaw.json").read_text() == "state"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("no-archive", "", 'step "copy": OpenClaw made no backup: openclaw: database is locked'),
        ("restored", "no such table", 'step "restore": the copy holds , and the state holds {'),
        ("ended", "", "exit code 78"),
        ("unready", "", "the rehearsal's gateway is not ready after 5 s"),
        ("afterwards", '{"agents":1,"sessions":2,"cron_jobs":null}\n', "less: sessions 3 → 2"),
        ("afterwards", '{"agents":1,"sessions":null,"cron_jobs":1}\n', "less: sessions 3 → null"),
        ("afterwards", "broken\n", "cannot be counted"),
    ],
)
def test_what_fails_in_a_rehearsal_stops_nothing(
    name: str, content: str, expected: str, one: Deployed
) -> None:
    if name == "ended":
        one.set("unready")
    one.set(name, content)
    (one.config / "openclaw.json").write_text("for the new one")
    (one.config / ".openclaw.json.before").write_text("state")
    os.chown(one.config / ".openclaw.json.before", UID, UID)
    code, said = one.run(one.activation(timeout=5), "activate")
    assert code == 1 and expected in said, said
    assert "Nothing was stopped: the old gateway serves as before" in said
    assert "the-hidden-value" not in said
    assert one.untouched() and not one.left()
    assert (one.config / "openclaw.json").read_text() == "state"
    assert not (one.config / "openclaw.json.set-aside").exists(), "nobody wrote but us"
    assert "new" in (one.project / "failed/docker-compose.yml").read_text()


def test_what_the_user_wrote_while_it_was_rehearsed_is_kept(one: Deployed) -> None:
    for name, text in (("openclaw.json", "for the new one"), (".openclaw.json.before", "state")):
        (one.config / name).write_text(text)
        os.chown(one.config / name, UID, UID)
    write = f"touch {one.fake}/volume; echo by hand >{one.config}/openclaw.json"
    one.set("engine", one.says("engine").replace("touch $fake/volume", write))
    one.set("ended")
    one.set("unready")
    code, said = one.run(one.activation(), "activate")
    assert code == 1 and "openclaw.json.set-aside" in said
    assert (one.config / "openclaw.json").read_text() == "state"
    assert (one.config / "openclaw.json.set-aside").read_text() == "by hand\n"


def test_left_out_on_purpose(one: Deployed) -> None:
    code, said = one.run(one.activation(), "unrehearsed")
    assert code == 0 and "rehears" not in said
    assert one.swapped()


@pytest.mark.parametrize("lacking", ["memory_bytes", "spare_bytes"])
def test_where_there_is_no_room_it_is_left_out_and_said(lacking: str, one: Deployed) -> None:
    code, said = one.run(one.activation(**{lacking: 1 << 60}), "activate")
    assert code == 0
    assert "rehearsal: left out, " in said and " MiB" in said
    assert one.swapped() and not one.left()


def test_without_state_or_a_gateway_that_serves_there_is_none(one: Deployed) -> None:
    (one.config / "openclaw.json").unlink()
    assert "left out, there is no state to copy" in one.run(one.activation(), "activate")[1]
    assert one.swapped()


def test_a_backup_that_is_being_made_is_left_alone(one: Deployed, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    (one.programs / "flock").write_text('#!/bin/sh\n[ "$1" != -w ] || exit 1\n')
    (one.programs / "flock").chmod(0o755)
    code, said = one.run(one.activation(), "activate")
    assert code == 1 and "a backup is being made" in said
    assert one.untouched()


@pytest.mark.slow
@pytest.mark.parametrize("number", [6, 10, 14])
def test_cut_the_next_run_does_it_whole(number: int, tmp_path: Path) -> None:
    cut(tmp_path, number)


@pytest.mark.long
def test_cut_anywhere_the_next_run_does_it_whole(tmp_path: Path) -> None:
    number = 1
    while cut(tmp_path / str(number), number):
        number += 1
    assert number > 25


def cut(directory: Path, number: int) -> bool:
    """Cut an activation at a step and run again; whether it had that many steps."""
    one = Deployed(directory)
    killed = one.run(one.activation(), "activate", kill_at=number)[0] != 0
    if (one.project / "run/rehearsing").exists():
        assert not one.says("done"), "the old gateway serves"
    code, said = one.run(one.activation(), "activate")
    assert code == 0, (number, said)
    assert one.swapped() and one.says("status") == "running"
    assert not one.left(), number
    assert (one.config / "openclaw.json").read_text() == "state"
    return killed
