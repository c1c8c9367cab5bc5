"""Somebody's own OpenClaw state under the deployment: facts in, problems out."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations import configuration, existing_state, includes, private, snapshot
from tests.operations.hosts import FakeHost
from toolkit.settings import Settings


def problems(answer: str, **directories: str) -> list[tuple[str, str]]:
    answers = {"existing-state": answer}
    wanted = Settings.model_validate({"directories": directories})
    with ctx_host.use(FakeHost(answers)):
        found = list(existing_state.existing_state_problems(wanted, answers))
    return [(one.what, one.fix) for one in found]


def test_a_configuration_of_the_old_name_would_be_forgotten() -> None:
    ((what, fix),) = problems("entry clawdbot.json 1000", config="/root/.clawdbot")
    assert what.startswith("/root/.clawdbot has clawdbot.json and no openclaw.json")
    assert fix.endswith("mv -n /root/.clawdbot/clawdbot.json /root/.clawdbot/openclaw.json")
    assert problems("entry clawdbot.json 1000\nentry openclaw.json 1000") == []


def test_files_that_the_gateway_cannot_use_are_named() -> None:
    answer = "entry openclaw.json 0\nentry agents 0\nentry state 1000"
    ((what, fix),) = problems(answer, config="/root/.openclaw")
    assert "agents, openclaw.json in /root/.openclaw belong to uid 0" in what
    assert fix.endswith("chown -hR 1000:1000 /root/.openclaw")
    assert problems(answer.replace(" 0", " 1000")) == []


def test_a_workspace_is_not_hidden_by_an_empty_one() -> None:
    ((what, fix),) = problems("hidden", config="/root/.openclaw")
    assert "/root/.openclaw/workspace has files" in what and "/var/lib/openclaw/workspace" in what
    assert "set directories.workspace to /root/.openclaw/workspace" in fix


@pytest.mark.parametrize("answer", ["", "entry", "entry x 0", "else", "kept\nkept"])
def test_what_is_no_obstacle_is_none(answer: str) -> None:
    assert problems(answer) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, []),
        ({"config/clawdbot.json": ""}, ["entry clawdbot.json"]),
        ({"config/workspace/AGENTS.md": "", "workspace/x": ""}, []),
        ({"config/workspace/AGENTS.md": ""}, ["hidden"]),
        ({"config/openclaw.json": "", "config/x": ""}, ["entry openclaw.json"]),
        ({"config/openclaw.json.before-doctor.~1~": ""}, ["kept"]),
    ],
)
def test_the_host_is_asked_for_names_and_owners(
    tmp_path: Path, files: dict[str, str], said: list[str]
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    paths = {name: str(tmp_path / name) for name in ("config", "workspace")}
    script = existing_state.existing_state_probe(
        Settings.model_validate({"directories": paths | {"auth": "/srv/auth"}})
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert [line.removesuffix(" 0") for line in done.stdout.splitlines()] == said


def reading(monkeypatch: pytest.MonkeyPatch, files: dict[str, str | None]) -> private.Private:
    """What is read of a host whose state directory has these files (None: refused)."""

    def line(name: str) -> str:
        if name not in files:
            return "absent"
        text = files[name]
        if text is None:
            return "refused: it is a fifo, not a regular file"
        data = text.encode()
        return f"{hashlib.sha256(data).hexdigest()} {base64.b64encode(data).decode()}"

    def answer(_: Any, script: str) -> str:
        asked = [one.split()[-1].strip("'") for one in script.splitlines() if "foreign /" in one]
        return "\n".join(map(line, asked))

    monkeypatch.setattr(snapshot, "read_quietly", answer)
    answers = {"private": "absent\nabsent"}
    empty = hashlib.sha256(b"").hexdigest()
    with ctx_host.use(FakeHost(answers)):
        return private.keep(Settings(), f"absent\n{line('openclaw.json')}\n{empty} ", answers)


OWNED = configuration.owned(Settings(), {})


def merge_problems(monkeypatch: pytest.MonkeyPatch, files: dict[str, str | None]) -> list[str]:
    content = reading(monkeypatch, files)
    monkeypatch.setattr(private, "read", lambda _: content)
    with ctx_host.use(FakeHost({})):
        found = list(configuration.configuration_problems(Settings(), {}))
    return [one.what for one in found]


def test_an_included_section_that_is_as_it_should_be_needs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files: dict[str, str | None] = {
        "openclaw.json": json.dumps(OWNED | {"gateway": {"$include": "./parts/gw.json5"}}),
        "parts/gw.json5": json.dumps(OWNED["gateway"] | {"auth": {"$include": "auth.json5"}}),
        "parts/auth.json5": json.dumps(OWNED["gateway"]["auth"]),
    }
    assert merge_problems(monkeypatch, files) == []
    assert private.read(Settings()).configuration() == OWNED


def test_an_included_section_that_differs_is_named_with_its_file_and_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files: dict[str, str | None] = {
        "openclaw.json": '{"gateway": {"$include": "./gw.json5"}}',
        "gw.json5": json.dumps(OWNED["gateway"] | {"port": 1}),
    }
    (what,) = merge_problems(monkeypatch, files)
    assert "takes gateway from ./gw.json5 ($include)" in what
    assert "gateway.port: 1 -> 18789" in what and "gateway.mode" not in what


@pytest.mark.parametrize(
    ("include", "files", "said"),
    [
        ("/etc/shadow", {}, "accepted: a file in the directory"),
        ("../../x", {}, "accepted: a file in the directory"),
        ("gone.json5", {}, "there is no such file"),
        ("fifo", {"fifo": None}, "it is a fifo"),
        ("a", {"a": '{"$include": "a"}'}, "deep"),
        ("a", {"a": "{"}, "it is not JSON5"),
    ],
)
def test_an_include_that_leads_nowhere_is_one_error(
    monkeypatch: pytest.MonkeyPatch, include: str, files: dict[str, str | None], said: str
) -> None:
    text = json.dumps({"gateway": {"$include": include}})
    (what,) = merge_problems(monkeypatch, {"openclaw.json": text, **files})
    assert said in what


def test_the_patch_leaves_out_what_is_included() -> None:
    there = {"gateway": {"auth": {"$include": "a"}}, "session": {"$include": ["b", "c"]}}
    patch = {"gateway": {"port": 1, "auth": {"mode": "token"}}, "session": {"dmScope": "x"}}
    assert includes.outside(patch, there) == {"gateway": {"port": 1}}
    assert includes.outside(patch, {"$include": "all"}) == {}
    assert list(includes.sections(there)) == [("gateway.auth", "a"), ("session", "b, c")]


def test_a_null_is_absent() -> None:
    wanted = {"gateway": {"port": 1, "auth": {"mode": "x"}}, "session": {"dmScope": "y"}}
    there = {"gateway": {"auth": None}, "session": None, "channels": None}
    assert list(configuration.nulls(wanted, there)) == [["gateway", "auth"], ["session"]]
    assert list(configuration.nulls(wanted, {"gateway": {"port": 2}})) == []
