"""A new token in place of the old one: the script on a gateway that is a few files, cut at each of
its steps, and the operation."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pyinfra import host as pyinfra_host
from pyinfra.api.exceptions import PyinfraError

from operations.backup import listing
from operations.base import notes, snapshot
from operations.gateway import compose, form, front, service
from operations.lifecycle import rotation
from tests.operations.fake_gateway import Gateway
from tests.operations.hosts import at, commands, private_answer
from toolkit.settings import Settings

ACCESS = "lacking=\nown-engine=\ncgroup2=\nuser=990:989\nsubuid=524288\nsubgid=524288\n"
OLD, NEW = "a" * 64, "b" * 64
COMPOSE = 'services:\n  openclaw-gateway:\n    labels:\n      openclaw-pyinfra.project: "{}"\n'
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root's own files")


class Deployed(Gateway):
    """A gateway that is deployed and runs with the old token."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.put(self.project, OLD, "old-label")
        good = self.project / "last-good"
        good.mkdir()
        self.put(good, OLD, "old-label")
        (good / "image").write_text(f"sha256:{'a' * 64}\n")
        self.set("env", f"OPENCLAW_GATEWAY_TOKEN={OLD}\nKEPT=1\n")
        self.set("label", "old-label\n")
        self.set("status", "running\n")

    def put(self, where: Path, token: str, label: str) -> None:
        (where / ".env").write_text(f"OPENCLAW_GATEWAY_TOKEN={token}\nKEPT=1\n")
        (where / ".env").chmod(0o600)
        (where / "docker-compose.yml").write_text(COMPOSE.format(label))

    def prepare(self, environment: str = f"OPENCLAW_GATEWAY_TOKEN={NEW}\nKEPT=1\n") -> None:
        """As the operation's first two commands do, unless a rotation was interrupted."""
        directory = self.project / "run/rotate"
        if (directory / "rotating").exists():
            return
        subprocess.run(["rm", "-rf", directory], check=True)
        directory.mkdir(mode=0o700)
        (directory / "new").write_text(environment)
        was = hashlib.sha256((self.project / ".env").read_bytes()).hexdigest()
        (directory / "was").write_text(was)
        (directory / "label").write_text("new-label")

    @property
    def script(self) -> str:
        return self.activation()

    def opens(self) -> str:
        """The token of the process that runs; nothing while none does."""
        return self.says("env").splitlines()[0].partition("=")[2]

    def whole(self) -> tuple[str, ...]:
        """The tokens of the process, `.env` and the last good `.env`, and the label that runs."""
        files = (self.project / ".env", self.project / "last-good/.env")
        tokens = [path.read_text().splitlines()[0].partition("=")[2] for path in files]
        return (self.opens(), *tokens, self.says("label"))


ROTATED, AS_BEFORE = (NEW, NEW, NEW, "new-label"), (OLD, OLD, OLD, "old-label")


def test_the_old_token_is_refused_and_every_copy_replaced(tmp_path: Path) -> None:
    one = Deployed(tmp_path)
    (one.config / "notes.txt").write_text(f"my token is {OLD}\n")
    one.prepare()
    code, said = one.run(one.script, "rotate")
    assert code == 0, said
    assert one.whole() == ROTATED
    assert "old token: refused (HTTP 401, WebSocket AUTH_TOKEN_MISMATCH)" in said
    assert "new token: accepted (HTTP 400, WebSocket accepted)" in said
    assert f"still has the old token: {one.config}/notes.txt" in said
    assert not (one.project / "run/rotate").exists()
    assert OLD not in said and NEW not in said
    assert (one.project / ".env").stat().st_mode & 0o777 == 0o600
    compose = (one.project / "docker-compose.yml").read_text()
    assert compose == COMPOSE.format("new-label"), "nothing but the label"


def test_what_can_be_gone_back_to_has_the_new_token_too(tmp_path: Path) -> None:
    one = Deployed(tmp_path)
    kept = tmp_path / "generations/1"
    (kept / "state").mkdir(parents=True)
    (kept / ".env").write_text(f"MINE=1\nOPENCLAW_GATEWAY_TOKEN={OLD}\n")
    (kept / "state/notes").write_text(f"my token is {OLD}\n")
    one.prepare()
    code, said = one.run(one.script, "rotate")
    assert code == 0, said
    assert (kept / ".env").read_text() == f"MINE=1\nOPENCLAW_GATEWAY_TOKEN={NEW}\n"
    assert (kept / ".env").stat().st_mode & 0o777 == 0o600
    assert f"still has the old token: {kept}/state/notes" in said
    assert not (tmp_path / "generations/2").exists(), "another token is no generation"


def test_a_gateway_that_does_not_become_ready_keeps_the_old_token(tmp_path: Path) -> None:
    one = Deployed(tmp_path)
    one.set("broken", f"{NEW}\n")
    one.prepare()
    code, said = one.run(one.script, "rotate")
    assert code == 1
    assert "the last good one is running again" in said
    assert one.whole() == AS_BEFORE
    assert not (one.project / "run/rotate").exists()


def test_what_was_edited_meanwhile_is_not_lost(tmp_path: Path) -> None:
    one = Deployed(tmp_path)
    one.prepare()
    with (one.project / ".env").open("a") as file:
        file.write("MINE=1\n")
    code, said = one.run(one.script, "rotate")
    assert code == 1
    assert "is not what was read of it: nothing was changed" in said
    assert "MINE=1" in (one.project / ".env").read_text()
    assert one.opens() == OLD


def test_an_old_token_that_still_opens_is_a_failure(tmp_path: Path) -> None:
    one = Deployed(tmp_path)
    (one.programs / "curl").write_text("#!/bin/sh\nprintf 200\n")
    one.prepare()
    code, said = one.run(one.script, "rotate")
    assert code == 1
    assert "the old token is let in over HTTP (200)" in said
    assert (one.project / "run/rotate/rotating").exists(), "the next run asks again"


def cut(directory: Path, number: int, next_run: str) -> bool:
    """Cut a rotation at a step and run again; whether it had that many steps."""
    one = Deployed(directory)
    one.prepare()
    killed = one.run(one.script, "rotate", kill_at=number)[0] != 0
    assert one.opens() in (OLD, NEW)
    begun = (one.project / "run/rotate/rotating").exists()
    changed = OLD not in (one.project / ".env").read_text()
    if next_run == "rotate":
        one.prepare()
    code, said = one.run(one.script, next_run)
    assert code == 0, (number, said)
    expected = ROTATED if next_run == "rotate" or begun or changed else AS_BEFORE
    assert one.whole() == expected, number
    assert not (one.project / "run/rotate/rotating").exists()
    return killed


NEXT = pytest.mark.parametrize("next_run", ["rotate", "activate"])


@pytest.mark.slow
@NEXT
@pytest.mark.parametrize("number", [5, 9, 13, 19])
def test_cut_one_token_opens_and_the_next_run_finishes(
    number: int, next_run: str, tmp_path: Path
) -> None:
    assert cut(tmp_path, number, next_run)


@pytest.mark.long
@NEXT
def test_cut_anywhere_one_token_opens_and_the_next_run_finishes(
    next_run: str, tmp_path: Path
) -> None:
    number = 1
    while cut(tmp_path / str(number), number, next_run):
        number += 1
    assert number > 20


@pytest.mark.slow
@pytest.mark.parametrize("number", [22, 26, 30])
def test_a_way_back_that_was_cut_is_finished(number: int, tmp_path: Path) -> None:
    one = Deployed(tmp_path)
    one.set("broken", f"{NEW}\n")
    one.prepare()
    one.run(one.script, "rotate", kill_at=number)
    one.run(one.script, "activate")
    one.run(one.script, "activate")
    assert one.whole() == AS_BEFORE


# The operation


def seen(environment: str, **values: str) -> dict[str, str]:
    lines = {"status": "running", "image": "sha256:1", "wanted_image": "sha256:1", **values}
    return {
        "gateway": "".join(f"{key} {value}\n" for key, value in lines.items()),
        "private": "regular file|600|0:0\nabsent",
        "environment": environment,
    }


@pytest.fixture
def host_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(rotation, "chosen", lambda: "")

    def put(environment: str, texts: Sequence[str] = ("", ""), **values: str) -> dict[str, str]:
        def quiet(_: Any, command: str, *__: Any) -> str:
            if command.startswith("for path in "):
                said = (*texts, f"OPENCLAW_GATEWAY_TOKEN={NEW}\n")
                return "".join(f"{base64.b64encode(one.encode()).decode()}\n" for one in said)
            if command.startswith("tail "):
                return "old token: refused (HTTP 401)\nthe gateway is ready\n"
            return private_answer(environment, None, "")

        monkeypatch.setattr(snapshot, "read_quietly", quiet)
        return seen(environment, **values)

    return put


def test_the_token_is_made_by_the_host_and_in_no_argument(host_with) -> None:
    there = host_with(f"# mine\nOPENCLAW_GATEWAY_TOKEN={OLD}\nKEPT=1\n")
    prepare, label, run = commands(rotation.rotated, there, settings=Settings())
    assert prepare.stdin == "# mine\nKEPT=1\n"
    assert "/dev/urandom" in prepare and OLD not in prepare
    assert run.endswith("sh /opt/openclaw/run/activate.sh rotate")
    assert OLD not in label + run and NEW not in label + run


def test_a_credential_is_read_again_and_nothing_else_is_brought(host_with, monkeypatch) -> None:
    monkeypatch.setenv("THE_KEY", "new-value")
    monkeypatch.setenv("OTHER_KEY", "pending")
    wanted = Settings.model_validate(
        {"credentials": {"SOME_KEY": {"env": "THE_KEY"}, "OTHER": {"env": "OTHER_KEY"}}}
    )
    monkeypatch.setattr(rotation, "chosen", lambda: "SOME_KEY")
    there = host_with(f"OPENCLAW_GATEWAY_TOKEN={OLD}\nSOME_KEY=before\nOTHER=before\n")
    prepare, *_ = commands(rotation.rotated, there, settings=wanted)
    lines = prepare.stdin.splitlines()
    assert lines[1:] == [f"OPENCLAW_GATEWAY_TOKEN={OLD}", "SOME_KEY=new-value", "OTHER=before"]
    assert "new-value" not in prepare
    there = host_with(f"OPENCLAW_GATEWAY_TOKEN={OLD}\nSOME_KEY=new-value\nOTHER=before\n")
    assert commands(rotation.rotated, there, settings=wanted) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (3, "in /srv/backups: backups 00000002 of 2026-11-29T02:00, 00000001 of "),
        (11, " and 3 more"),
        (0, None),
        (None, "the backups in /srv/backups; the repository refuses backup.password"),
    ],
)
def test_backups_that_have_the_old_token_are_named(answer, said, host_with, monkeypatch) -> None:
    def ask(*_: Any) -> listing.Listing:
        if answer is None:
            raise PyinfraError("the repository refuses backup.password")
        made = (
            listing.Snapshot(f"{number:08}", "vm", f"2026-11-29T{number:02}:00:00Z", "2026.9.6", 1)
            for number in range(answer)
        )
        return listing.Listing(tuple(made))

    monkeypatch.setattr(rotation.listing, "ask", ask)
    backup = {"repository": "/srv/backups", "password": {"env": "X"}}
    wanted = Settings.model_validate({"backup": backup})
    with at(wanted, **host_with(f"OPENCLAW_GATEWAY_TOKEN={OLD}\n")):
        list(rotation._told(wanted))
        (*rest, last) = notes.of(pyinfra_host).outcome
    assert rest[:1] == ["old token: refused (HTTP 401)"] or said is None
    assert said is None or (said in last and "still have the old token" in last)


def test_an_interrupted_one_is_finished_and_no_other_begun(host_with) -> None:
    there = host_with(f"OPENCLAW_GATEWAY_TOKEN={NEW}\n", unfinished="rotating")
    (run,) = commands(rotation.rotated, there, settings=Settings())
    assert run.endswith("sh /opt/openclaw/run/activate.sh rotate")


@pytest.mark.parametrize("socket", ["auto", "host"])
def test_the_label_is_the_one_that_the_next_run_computes(
    socket: str, host_with, monkeypatch
) -> None:
    """So that it changes nothing, unless its settings want something else by then; what waited when
    the token was replaced counts for nothing.
    """
    deployed = {"sandbox": {"enabled": True, "socket": socket}, "extra_mounts": ["/srv:/srv"]}
    was = Settings.model_validate(deployed)
    waiting = Settings.model_validate({**deployed, "gateway": {"memory": "4g"}})

    def next_run(settings: Settings) -> str:
        with at(settings, access=ACCESS, **host_with(f"OPENCLAW_GATEWAY_TOKEN={NEW}\n")):
            return form.of(settings).inputs(settings)

    with at(was, access=ACCESS, **host_with(f"OPENCLAW_GATEWAY_TOKEN={OLD}\n")):
        unit, extra = service.unit(was).content, compose.extra_file(was)
        assert extra
        texts = [unit] if socket == "host" else [compose.base_file(was).content, extra.content]
    there = host_with(f"OPENCLAW_GATEWAY_TOKEN={OLD}\n", texts=texts)
    _, label, _ = commands(rotation.rotated, {**there, "access": ACCESS}, settings=waiting)
    assert f"printf %s {next_run(was)} >" in label
    assert next_run(was) != next_run(waiting)


@pytest.mark.parametrize(
    ("values", "wanted", "name", "said"),
    [
        ({"status": ""}, {}, "", "there is no gateway"),
        ({"status": "exited"}, {}, "", "the gateway is exited"),
        ({"unfinished": "candidate"}, {}, "", "an earlier run was interrupted"),
        ({"wanted_image": "sha256:2"}, {}, "", "another image waits"),
        ({}, {front.TOKEN: {"env": "T"}}, "", "the token comes from the inventory"),
        ({}, {}, "NO_SUCH", "there is no credential NO_SUCH; there are: none"),
        ({}, {"KEY": {"env": "NOT_SET"}}, "KEY", "NOT_SET"),
        ({"unfinished": "rotating candidate", "status": "exited"}, {}, "", ""),
    ],
)
def test_what_stands_in_the_way_is_said(values, wanted, name, said, host_with, monkeypatch) -> None:
    monkeypatch.setattr(rotation, "chosen", lambda: name)
    there = host_with(f"OPENCLAW_GATEWAY_TOKEN={OLD}\n", **values)
    if not values.get("status", "x"):
        there["gateway"] = "unfinished \n"
    settings = Settings.model_validate({"credentials": wanted})
    with at(settings, **there):
        found = [one.what for one in rotation.problems(settings)]
    assert bool(found) == bool(said)
    assert any(said in one for one in found) or not said
