"""A new image on a copy of the state, before the old gateway stops: the script on a gateway and an
engine that are a few files, cut at any of its steps."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.operations.fake_gateway import Gateway

OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")
HELD = {"agents": 1, "sessions": 3, "cron_jobs": None}
COMPOSE = 'services:\n  openclaw-gateway:\n    labels:\n      openclaw-pyinfra.project: "{}"\n'
UID = 4711
ENGINE = r"""
case "$*" in
  "compose --project-directory"*)
    [ ! -e $fake/no-archive ] || {{ echo "openclaw: database is locked"; return 1; }}
    cat run/rehearsal.yml >$fake/archived-by
    mkdir -p {auth}/.backup && echo archive >{auth}/.backup/state.tar
    cp $fake/held {auth}/.backup/counts.json
    chown -R {uid} {auth}/.backup ;;
  "volume create"*) touch $fake/volume ;;
  "volume rm"*) rm -f $fake/volume ;;
  "rm -fv"*) rm -f $fake/copy ;;
  "run -d"*) touch $fake/copy ;;
  "run "*"backup restore"*) cat >/dev/null; cat $fake/restored ;;
  "exec "*"fetch("*) [ -e $fake/copy ] && [ ! -e $fake/unready ] ;;
  "exec "*) cat $fake/afterwards ;;
  inspect*ExitCode*) echo 78 ;;
  inspect*Running*) [ -e $fake/ended ] && echo false || echo true ;;
  logs*) echo "cannot migrate; the token is the-hidden-value" ;;
esac
"""
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")


class Deployed(Gateway):
    """A gateway that runs with state, and another image that waits to be run."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.auth = directory / "auth"
        self.auth.mkdir()
        (self.config / "openclaw.json").write_text("state")
        for path in (self.auth, self.config, self.config / "openclaw.json"):
            os.chown(path, UID, UID)
        good = self.project / "last-good"
        good.mkdir()
        for where, label in ((good, "old"), (self.project, "new")):
            (where / ".env").write_text("OPENCLAW_GATEWAY_TOKEN=the-hidden-value\n")
            (where / "docker-compose.yml").write_text(COMPOSE.format(label))
        (good / "image").write_text(f"{OLD}\n")
        self.set("image", f"{OLD}\n")
        self.set("local", f"{NEW}\n")
        self.set("label", "old\n")
        self.set("status", "running\n")
        self.set("env", (good / ".env").read_text())
        self.set("engine", ENGINE.format(auth=self.auth, uid=UID))
        for name in ("held", "restored", "afterwards"):
            self.set(name, json.dumps(HELD, separators=(",", ":")) + "\n")

    def swapped(self) -> bool:
        return self.says("image") == NEW

    def left(self) -> list[str]:
        """What of a rehearsal is still there."""
        files = (self.fake / "volume", self.fake / "copy", self.rollback / "rehearsal")
        more = (self.auth / ".backup", self.project / "run/rehearsing")
        return [path.name for path in (*files, *more) if path.exists()]

    def untouched(self) -> bool:
        """The old gateway serves, was never stopped, and its files are in place."""
        label = (self.project / "docker-compose.yml").read_text()
        return (
            self.says("status") == "running"
            and not self.says("done")
            and self.says("image") == self.says("local") == OLD
            and label == COMPOSE.format("old")
        )


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
    (one.config / ".openclaw.json.before").write_text("state")
    (one.config / "openclaw.json").write_text("for the new one")
    os.chown(one.config / ".openclaw.json.before", UID, UID)
    code, said = one.run(one.activation(), "activate")
    assert code == 1 and expected in said, said
    assert "Nothing was stopped: the old gateway serves as before" in said
    assert "the-hidden-value" not in said
    assert one.untouched() and not one.left()
    assert (one.config / "openclaw.json").read_text() == "state"
    assert "new" in (one.project / "failed/docker-compose.yml").read_text()


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
