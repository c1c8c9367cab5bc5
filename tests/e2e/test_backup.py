"""Backups of a real gateway into a real repository of restic's, and the drill of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeDeployment
from tests.e2e.harness import Deployment

pytestmark = [pytest.mark.engine, pytest.mark.whole]


@pytest.fixture
def one(gateway: Deployment) -> Iterator[Deployment]:
    """The shared gateway, without backups before and after."""
    yield gateway
    if gateway.settings.pop("backup", None):
        gateway.claw("up")
    gateway.sh(f"rm -rf /var/lib/{gateway.name}/archives/*")


def test_backups_and_their_drill(one: Deployment, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    repository = tmp_path / "repository"
    one.settings["backup"] = {
        "repository": str(repository),
        "password": {"file": str(tmp_path / "password")},
    }
    one.claw("up")
    assert "nothing to change" in one.claw("up").output
    assert "there is no backup" in one.claw("backups", expect=1).output

    def listed(expect: int = 0) -> dict[str, Any]:
        (found,) = json.loads(one.claw("backups", "--json", expect=expect).stdout)["hosts"].values()
        return dict(found)

    # By hand, as OpenClaw documents it, in what is shipped.
    one.claw("cli", "--", "backup", "create", "--verify")
    (archive,) = one.sh(f"ls /var/lib/{one.name}/archives").split()
    one.claw("cli", "--", "backup", "restore", f"./{archive}", "--target", "./restored")
    state = f"find /var/lib/{one.name}/archives/restored -path '*/.openclaw/openclaw.json'"
    assert len(one.sh(state).split()) == 1

    one.claw("backup")
    assert "was restored and became ready" in one.claw("drill").output
    found = listed()
    assert found["healthy"] and found["backups"][0]["release"] == "2026.9.6"
    assert one.sh(f"docker ps -aq --filter label=openclaw-pyinfra.drill={one.name}") == ""
    assert one.sh(f"docker volume ls -q --filter name={one.name}-drill") == ""
    assert one.http() == 200

    # It becomes the state again, and what was there stays beside it.
    token = one.token()
    one.in_gateway("echo mine >~/.openclaw/workspace/later")
    assert "Restore the backup" in one.claw("restore", "--dry", expect=2).output
    one.claw("restore", "-y")
    said = one.sh(f"sh /opt/{one.name}/backup/backup.sh show latest")
    shown = dict(line.partition(" ")[::2] for line in said.splitlines())
    assert json.loads(shown["manifest"])["counts"] == json.loads(shown["now"])
    assert one.token() == token and one.http() == 200
    assert "later" not in one.in_gateway("ls ~/.openclaw/workspace")
    kept = one.sh(f"cat /var/lib/{one.name}/workspace.before-restore-*/later")
    assert kept == "mine\n"
    one.claw("up")
    assert "nothing to change" in one.claw("up").output

    # Packs that are gone: the drill says so, and the one that passed stays in sight.
    (repository / "data").rename(tmp_path / "away")
    assert "the backup" in one.claw("drill", expect=1).output
    found = listed(expect=1)
    assert " ok " in found["drilled"] and " failed " in found["drill_failed"]
    (tmp_path / "away").rename(repository / "data")

    (tmp_path / "password").write_text("another one\n")
    refused = one.claw("up", expect=1).output
    assert "the repository refuses backup.password" in refused and "another one" not in refused

    # What is restored from a place where there is nothing makes no repository there.
    (tmp_path / "password").write_text("correct horse\n")
    place = ("--existing-repository", "--set", f"backup.repository={repository}-typo")
    assert "there is no repository" in one.claw("up", *place, expect=1).output
    assert not (tmp_path / f"{repository.name}-typo").exists()

    # Taken out of the settings, all of it goes but the repository.
    del one.settings["backup"]
    assert "Backups" in one.claw("up", "--dry", expect=2).output
    one.claw("up")
    assert one.sh(f"ls -d /opt/{one.name}/backup 2>&1 || :").count("No such file")
    assert list((repository / "snapshots").iterdir())
    assert "nothing to change" in one.claw("up").output


@pytest.mark.long
def test_a_deployment_that_is_gone_comes_back_from_the_repository(
    local_deployment: MakeDeployment, tmp_path: Path
) -> None:
    """As on a bare host: nothing of it is there, and the settings know of no backups.

    The test above restores in place; `test_restore.test_a_bare_host` does this over sftp.
    """
    (tmp_path / "password").write_text("correct horse\n")
    place = str(tmp_path / "repository")
    backup = {"repository": place, "password": {"file": str(tmp_path / "password")}}
    one = local_deployment(backup=backup)
    one.claw("up")
    one.in_gateway("echo mine >~/.openclaw/workspace/mine")
    one.claw("backup")
    token = one.token()
    one.claw("remove", "--purge-data", "--yes-purge", one.name)
    assert one.sh(f"ls -d /opt/{one.name} /var/lib/{one.name} 2>/dev/null || true") == ""

    del one.settings["backup"]
    given = ("--from", place, "--password-file", str(tmp_path / "password"))
    dry = one.claw("restore", "--dry", *given, expect=2)
    assert "After that, the backup would be restored" in dry.output
    result = one.claw("restore", "-y", *given)
    assert one.token() == token and token not in result.output
    assert one.http() == 200
    assert one.in_gateway("cat ~/.openclaw/workspace/mine") == "mine\n"
    said = one.sh(f"sh /opt/{one.name}/backup/backup.sh show latest")
    shown = dict(line.partition(" ")[::2] for line in said.splitlines())
    assert json.loads(shown["manifest"])["counts"] == json.loads(shown["now"])
