"""Somebody's own OpenClaw state under the deployment: facts in, problems out."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from operations import container_user
from operations.base import snapshot
from operations.configuration import stage as configuration
from operations.gateway import existing_state, host_secrets, includes
from tests.operations.hosts import at, judged, private_answer
from toolkit.settings import Settings


def problems(
    answer: str, socket: str = "auto", home: str | None = None, **directories: str
) -> list[tuple[str, str]]:
    answers = {"existing-state": answer}
    wanted = Settings.model_validate(
        {"directories": directories, "sandbox": {"socket": socket}, "home_volume": home}
    )
    found = judged(existing_state.existing_state_problems, wanted, answers)
    return [(one.what, one.fix) for one in found]


def test_a_configuration_of_the_old_name_would_be_forgotten() -> None:
    ((what, fix),) = problems("entry clawdbot.json", config="/root/.clawdbot")
    assert what.startswith("/root/.clawdbot has clawdbot.json and no openclaw.json")
    assert fix.endswith("mv -n /root/.clawdbot/clawdbot.json /root/.clawdbot/openclaw.json")
    assert problems("entry clawdbot.json\nentry openclaw.json") == []


@pytest.mark.parametrize("top", ["0", "1000"])
def test_files_that_the_gateway_cannot_use_are_named(top: str) -> None:
    answer = f"top 0 {top}\nowner 0 1000 x\nowner 0 0 agents/main/a b\nowner 0 33 \x1bq"
    ((what, fix),) = problems(answer, config="/root/.openclaw")
    assert what.startswith("directories.config: files in /root/.openclaw belong to others")
    assert "'agents/main/a b' to uid 0" in what and what.isprintable()
    assert fix.endswith("chown -hR 1000:1000 /root/.openclaw")
    assert problems(f"top 0 {top}\nowner 0 1000 x", config="/root/.openclaw") == []


def test_each_directory_that_a_user_may_have_filled_is_looked_at() -> None:
    answer = "top 0 1000\ntop 1 1000\nowner 1 0 AGENTS.md\ntop 2 1000\nowner 2 0 key"
    found = problems(answer, workspace="/srv/work", auth="/srv/auth")
    assert [what.split(":")[0] for what, _ in found] == [
        "directories.workspace",
        "directories.auth",
    ]
    inside = Settings.model_validate(
        {"directories": {"config": "/srv/x", "workspace": "/srv/x/workspace"}}
    )
    assert "/srv/x/workspace" not in existing_state.directories(inside)


def test_only_what_is_moved_with_its_directory_may_have_the_uid_of_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(container_user, "chosen", lambda *_: 58001)
    monkeypatch.setattr(container_user, "moving", lambda directory, wanted: "1000:1000")
    whole = "top 0 1000\nowner 0 1000 openclaw.json\nowner 0 58001 x"
    assert problems(whole) == []
    # A directory that is given away by itself leaves its files behind.
    ((what, fix),) = problems(f"{whole}\ntop 1 0\nowner 1 1000 AGENTS.md")
    assert what.startswith("directories.workspace") and "uid 58001" in what
    assert "chown -hR 58001:58001 /var/lib/openclaw/workspace" in fix
    ((what, fix),) = problems(whole, socket="rootless")
    assert "of the engine that is yet to be made" in what and "chown" not in fix


def test_a_workspace_is_not_hidden_by_an_empty_one() -> None:
    ((what, fix),) = problems("hidden", config="/root/.openclaw")
    assert "/root/.openclaw/workspace has files" in what and "/var/lib/openclaw/workspace" in what
    assert "set directories.workspace to /root/.openclaw/workspace" in fix


def test_state_in_a_home_directory_is_not_hidden_by_an_empty_one() -> None:
    ((what, fix),) = problems("hidden-home", home="/srv/home")
    assert "/srv/home/.openclaw has files" in what and "/var/lib/openclaw/config" in what
    assert "set directories.config to /srv/home/.openclaw" in fix


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ({"defaults": {"workspace": "/root/.openclaw/workspace"}}, "agents.defaults.workspace"),
        ({"list": [{"id": "a"}, {"id": "b", "workspace": "~/work"}]}, "agents.list[1].workspace"),
        ({"entries": {"b": {"agentDir": "/srv/b"}}}, "agents.entries.'b'.agentDir"),
        ({"defaults": {"workspace": "/home/node/.openclaw/../x"}}, "agents.defaults.workspace"),
        ({"defaults": {"workspace": "~/.openclaw/workspace"}}, None),
        ({"defaults": {"workspace": "/srv/mounted/a"}, "list": "x", "entries": [1]}, None),
        ({"defaults": {"workspace": 7}, "list": [None, {"workspace": ""}]}, None),
        ([], None),
    ],
)
def test_an_agent_s_files_are_where_the_container_has_them(
    monkeypatch: pytest.MonkeyPatch, configuration: Any, said: str | None
) -> None:
    text = json.dumps({"agents": configuration})
    monkeypatch.setattr(snapshot, "read_quietly", lambda *_: private_answer(None, text, ""))
    wanted = Settings.model_validate({"extra_mounts": ["/srv/m:/srv/mounted"]})
    for answer in ("", "deployed"):
        answers = {"private": "absent\nabsent", "existing-state": answer}
        found = judged(existing_state.place_problems, wanted, answers)
        assert len(found) == bool(said)
        for one in found:
            assert said and f": {said} is " in one.what and one.stops is (answer == "")


@pytest.mark.parametrize(
    "answer",
    ["", "entry", "entry x 0", "else", "kept\nkept", "top x", "owner 0 x y", "owner 9 0 y"],
)
def test_what_is_no_obstacle_is_none(answer: str) -> None:
    assert problems(answer) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, []),
        ({"config/clawdbot.json": ""}, ["entry clawdbot.json", "owner 0 UID clawdbot.json"]),
        (
            {"config/workspace/AGENTS.md": "", "workspace/x": ""},
            ["owner 0 UID workspace", "owner 1 UID x"],
        ),
        ({"config/workspace/AGENTS.md": ""}, ["hidden", "owner 0 UID workspace"]),
        ({"home/.openclaw/openclaw.json": ""}, ["hidden-home"]),
        ({"home/.openclaw/openclaw.json": "", "config/x": ""}, ["owner 0 UID x"]),
        ({"config/a\nb": ""}, ["owner 0 UID a?b"]),
        ({"config/skills": ""}, []),  # a mount point
        (
            {"config/openclaw.json.before-doctor.~1~": ""},
            ["kept", "owner 0 UID openclaw.json.before-doctor.~1~"],
        ),
        ({"config/x": "", "project/last-good/image": ""}, ["deployed"]),
    ],
)
def test_the_host_is_asked_for_names_and_owners(
    tmp_path: Path, files: dict[str, str], said: list[str]
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    paths = {name: str(tmp_path / name) for name in ("project", "config", "workspace", "auth")}
    wanted = {
        "directories": paths,
        "home_volume": str(tmp_path / "home"),
        "extra_mounts": ["/srv/skills:/home/node/.openclaw/skills"],
    }
    script = existing_state.Existing.script(Settings.model_validate(wanted))
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("top ")]
    assert lines == [line.replace("UID", str(os.geteuid())) for line in said]


def reading(monkeypatch: pytest.MonkeyPatch, files: dict[str, str | None]) -> host_secrets.Private:
    """What is read of a host whose state directory has these files (None: refused)."""

    def line(name: str) -> str:
        if name not in files:
            return "absent"
        text = files[name]
        if text is None:
            return "refused: it is a fifo, not a regular file"
        data = base64.b64encode(text.encode())
        return f"{hashlib.sha256(data).hexdigest()} {data.decode()}"

    def answer(_: Any, script: str) -> str:
        asked = [one.split()[-1].strip("'") for one in script.splitlines() if "foreign /" in one]
        return "\n".join(map(line, asked))

    monkeypatch.setattr(snapshot, "read_quietly", answer)
    empty = hashlib.sha256(b"").hexdigest()
    with at(Settings(), private="absent\nabsent"):
        return host_secrets.keep(Settings(), f"absent\n{line('openclaw.json')}\n{empty} ")


OWNED = configuration.owned(Settings(), {})


def merge_problems(monkeypatch: pytest.MonkeyPatch, files: dict[str, str | None]) -> list[str]:
    content = reading(monkeypatch, files)
    monkeypatch.setattr(host_secrets, "read", lambda _: content)
    found = judged(configuration.configuration_problems, Settings())
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
    assert host_secrets.read(Settings()).configuration() == OWNED


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
