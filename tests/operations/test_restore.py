"""A backup becomes the state again: the script on a gateway that is a few files, cut at any of its
steps, and what is refused before."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from operations.backup import stage
from operations.base import templates
from operations.lifecycle import restoring
from tests.operations.fake_gateway import Gateway
from tests.operations.hosts import FakeHost, at
from toolkit import patterns, secret_names
from toolkit.settings import Settings

RESTIC = """#!/bin/sh
[ "$1 $2 $3" = "--quiet --no-lock dump" ] || exit 1
[ -e {backup}"$5" ] || {{ echo "cannot find $5" >&2; exit 1; }}
exec cat {backup}"$5"
"""
INSIDE = "/home/node/.openclaw"


class Restored(Gateway):
    """A gateway with a state of its own, and a backup with another one."""

    def __init__(self, directory: Path, workspace: bool = True) -> None:
        super().__init__(directory)
        self.workspace, self.auth = directory / "workspace", directory / "auth"
        self.backup, self.work = directory / "repository", directory / "work"
        for path in (self.workspace, self.auth, self.backup / "host", self.project / "backup"):
            path.mkdir(parents=True)
        self.work.mkdir()
        for path in (self.config / "openclaw.json", self.workspace / "notes", self.auth / "key"):
            path.write_text("old")
        (self.project / ".env").write_text("OPENCLAW_GATEWAY_TOKEN=old\n")
        (self.project / "docker-compose.yml").write_text("services: {}\n")
        (self.project / "backup/secrets.sh").write_text("")
        self.set("status", "running\n")
        self.set("env", "OPENCLAW_GATEWAY_TOKEN=old\n")
        self._program("restic", RESTIC.format(backup=self.backup))
        (self.backup / "host/.env").write_text("OPENCLAW_GATEWAY_TOKEN=new\n")
        held = {f"made/payload/posix{INSIDE}/openclaw.json": "new", "made/manifest.json": "{}"}
        if workspace:
            held[f"made/payload/posix{INSIDE}/workspace/notes"] = "new"
        archive(self.backup / "state.tar", held)
        archive(self.backup / "auth.tar", {"./key": "new"})

    def script(self) -> str:
        return templates.render(
            "lifecycle/restore.sh.j2",
            job="restore",
            docker=self.functions,
            kind="container",
            service=False,
            name="openclaw",
            id="0123abcd",
            project=str(self.project),
            config=str(self.config),
            workspace=str(self.workspace),
            auth=str(self.auth),
            work=str(self.work),
            state_inside=INSIDE,
            workspace_inside=f"{INSIDE}/workspace",
            depth=6,
            workspace_depth=7,
            url="http://127.0.0.1:1",
            timeout=20,
            secret_parts=secret_names.LOGGED,
            secrets=[],
        )

    def holds(self) -> set[str]:
        """Which of both is in place."""
        token = (self.project / ".env").read_text().strip().partition("=")[2]
        files = (self.config / "openclaw.json", self.workspace / "notes", self.auth / "key")
        return {token, *(path.read_text() for path in files if path.exists())}


def archive(path: Path, files: dict[str, str]) -> None:
    source = path.with_suffix(".d")
    for name, text in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    with tarfile.open(path, "w") as tar:
        for name in files:
            tar.add(source / name, name)
    shutil.rmtree(source)


def test_a_backup_replaces_all_of_it_and_what_it_replaces_stays(tmp_path: Path) -> None:
    one = Restored(tmp_path)
    code, said = one.run(one.script(), "restore")
    assert code == 0, said
    assert one.holds() == {"new"} and one.says("status") == "running"
    assert one.says("env") == "OPENCLAW_GATEWAY_TOKEN=new"
    (aside,) = tmp_path.glob("config.before-restore-*")
    assert (aside / "openclaw.json").read_text() == "old"
    (kept,) = one.project.glob(".env.before-restore-*")
    assert "old" in kept.read_text()
    assert str(aside) in said
    left = {path.name for path in tmp_path.glob("*.re*")} - {"repository"}
    assert not left and not (one.project / "run/restoring").exists()
    # And again: each has an own name.
    assert one.run(one.script(), "restore")[0] == 0


def test_a_gateway_that_does_not_become_ready_has_what_was_there(tmp_path: Path) -> None:
    one = Restored(tmp_path)
    one.set("broken", "TOKEN=new\n")
    code, said = one.run(one.script(), "restore")
    assert code == 1 and "is running again" in said
    assert one.holds() == {"old"} and one.says("env") == "OPENCLAW_GATEWAY_TOKEN=old"
    assert one.says("status") == "running"


@pytest.mark.parametrize("part", ["state.tar", "auth.tar", "host/.env"])
def test_a_backup_that_lacks_a_part_stops_nothing(tmp_path: Path, part: str) -> None:
    one = Restored(tmp_path)
    (one.backup / part).unlink()
    code, said = one.run(one.script(), "restore")
    assert code == 1 and "Nothing was stopped" in said
    assert one.holds() == {"old"} and one.says("done") == ""


def test_a_backup_without_a_workspace(tmp_path: Path) -> None:
    one = Restored(tmp_path, workspace=False)
    assert one.run(one.script(), "restore")[0] == 0
    assert one.holds() == {"new"} and not list(one.workspace.iterdir())


@pytest.mark.whole
def test_killed_at_any_step_it_is_one_of_both(tmp_path: Path) -> None:
    whole = Restored(tmp_path / "whole")
    assert whole.run(whole.script(), "restore")[0] == 0
    steps = whole.steps()
    assert steps > 15
    for kill_at in range(1, steps + 1):
        one = Restored(tmp_path / str(kill_at))
        one.run(one.script(), "restore", kill_at)
        code, said = one.run(one.script(), "recover")
        assert code == 0, said
        held = one.holds()
        assert held in ({"old"}, {"new"}), f"step {kill_at}: {held}"
        if one.says("status") == "running":
            assert one.says("env").endswith(held.pop()), f"step {kill_at}"
        assert one.run(one.script(), "restore")[0] == 0
        assert one.holds() == {"new"}


def test_a_token_that_cannot_be_kept_whole_is_not_replaced(tmp_path: Path) -> None:
    """A disk that is full: of the copy of `.env` there is a part."""
    one = Restored(tmp_path)
    kept = (one.project / ".env").read_text()
    one._program("cp", '#!/bin/sh\nfor to; do :; done\n: >"$to"\nexit 1\n')
    code, said = one.run(one.script(), "restore")
    assert code == 1, said
    assert (one.project / ".env").read_text() == kept and one.holds() == {"old"}


def test_links_of_an_archive_lead_nowhere_else(tmp_path: Path) -> None:
    """An agent's own files are in it; what they say is done as him, in his own directory."""
    one = Restored(tmp_path)
    with tarfile.open(one.backup / "state.tar", "a") as tar:
        link = tarfile.TarInfo(f"made/payload/posix{INSIDE}/../../../../../escaped")
        tar.addfile(link)
    one.run(one.script(), "restore")
    assert not (tmp_path / "escaped").exists()


def shown(**manifest: Any) -> str:
    said = {
        "deployment": "openclaw",
        "created": "2026-11-29T12:00:00Z",
        "release": "2026.9.6",
        "counts": {"sessions": 3, "cron_jobs": None},
        **manifest,
    }
    return (
        f"bytes 1000\nroom 3000\nid 0123abcd\nmanifest {json.dumps(said)}\nrelease 2026.8.2\n"
        'now {"sessions": 5}\n'
    )


def test_what_a_host_shows_of_a_backup() -> None:
    found = restoring.Manifest.parse(shown())
    assert found.id == "0123abcd" and found.newer
    assert found.counts == {"sessions": 3, "cron_jobs": None} and found.now == {"sessions": 5}
    assert not restoring.Manifest.parse(shown(release="2026.8.2")).newer


@pytest.mark.parametrize(
    "text",
    [
        *("", "id x\nmanifest {}", "id 0123abcd\nmanifest [", "id 0123abcd\nmanifest 3"),
        shown(deployment="$(x)"),
        shown(created="now"),
        shown(release="\x1b[31m"),
    ],
)
def test_a_manifest_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(patterns.MismatchError):
        restoring.Manifest.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (shown(deployment="other", release="2026.8.2"), "is of the deployment other, not openclaw"),
        (shown(), "is of release 2026.9.6, later than 2026.8.2"),
        (shown(release="2026.8.2").replace("3000", "1999"), "wants 0 MiB for a while"),
        (shown(release="2026.8.2"), None),
    ],
)
def test_what_cannot_be_restored_is_said_before_anything_is_touched(
    text: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = {"repository": "/srv/backups", "password": {"env": "BACKUP_PASSWORD"}}
    settings = Settings.model_validate({"backup": backup})
    monkeypatch.setattr(restoring.snapshot, "run_quietly", lambda *_: text)
    monkeypatch.setattr(restoring.files, "differs", lambda _: False)
    with at(settings, gateway="status running\n"):
        monkeypatch.setattr(restoring, "chosen", lambda: "0123abcd")
        found = [one.what for one in restoring.problems(settings)]
    assert len(found) == (0 if said is None else 1), found
    assert said is None or said in found[0]


def test_two_hosts_do_not_become_one_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    backup = {"repository": "/srv/backups", "password": {"env": "BACKUP_PASSWORD"}}
    settings = Settings.model_validate({"backup": backup})
    text = shown(release="2026.8.2")
    monkeypatch.setattr(restoring.snapshot, "run_quietly", lambda *_: text)
    monkeypatch.setattr(restoring.files, "differs", lambda _: False)
    monkeypatch.setattr(restoring, "chosen", lambda: restoring.LATEST)
    first = FakeHost()
    first.name = "first"
    first.connector_data["openclaw_backup"] = restoring.Manifest.parse(text)
    with at(settings, gateway="status running\n") as second:
        second.state.inventory += [first, second]
        (found,) = restoring.problems(settings)
    assert "is what first gets in this run, too" in found.what and found.stops


MADE = """
export RESTIC_REPOSITORY={0}/repository RESTIC_PASSWORD=right RESTIC_CACHE_DIR={0}/cache
restic -q init
mkdir {0}/made && cd {0}/made && echo '{{"deployment": "x"}}' >manifest.json
for one in both/here both/there alone/there; do
  restic -q backup --host "${{one#*/}}" --tag "openclaw-${{one%/*}}" --tag bytes=10 . || exit 1
done
"""
"""A repository with backups of the deployment `both` of two hosts, and of `alone` of one."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("restic"):
        pytest.skip("no restic here")
    directory = tmp_path_factory.mktemp("restic")
    subprocess.run(["sh", "-ec", MADE.format(directory)], check=True)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("both on here, latest, right", None),
        ("alone on here, latest, right", None),
        ("both on new, latest, right", "backups of several hosts are there, and none of new: here"),
        ("other on here, latest, right", "there is no backup of other in the repository"),
        ("both on here, 0123abcd, right", "no backup"),
        ("both on here, latest, wrong", "the repository refuses backup.password"),
    ],
)
def test_which_backup_is_meant(
    asked: str, said: str | None, repository: Path, tmp_path: Path
) -> None:
    """In a real repository of restic's."""
    name, _, vm, wanted, password = asked.replace(",", "").split()
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup/secrets.sh").write_text(
        f"export RESTIC_REPOSITORY={repository}/repository RESTIC_PASSWORD={password}\n"
    )
    backup = {"repository": f"{repository}/repository", "password": {"env": "P"}}
    place = {"project": str(tmp_path), "config": str(tmp_path)}
    settings = Settings.model_validate({"name": name, "directories": place, "backup": backup})
    with at(settings):
        program = stage.wanted(settings)[0].content
    for was, now in {
        f"/var/lib/{name}/backup": f"{tmp_path}/work",
        "/var/cache/$name-restic": f"{repository}/cache",
        "host=${host:-$(hostname)}": f"host={vm}",
    }.items():
        assert was in program
        program = program.replace(was, now)
    done = subprocess.run(
        ["sh", "-c", program, "backup.sh", "show", wanted], capture_output=True, text=True
    )
    assert (done.returncode == 0) == (said is None), done.stderr
    if said is None:
        assert {"bytes 10", 'manifest {"deployment": "x"} '} <= set(done.stdout.split("\n"))
    else:
        assert said in done.stderr and len(done.stderr.splitlines()) == 1
