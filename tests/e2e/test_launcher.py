"""`claw` before Python: it finds itself and a Python, and makes .venv from the lock.

Run on a copy with an empty lock and a toolkit that only says what it sees, so nothing is fetched.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT

TOOLKIT = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "prefix": sys.prefix, "cwd": os.getcwd(),
                  "path": sys.path, "home": os.environ.get("PYTHONHOME")}))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    path = tmp_path / "a folder with spaces"
    (path / "toolkit").mkdir(parents=True)
    shutil.copy(ROOT / "claw", path / "claw")
    (path / "toolkit" / "__main__.py").write_text(TOOLKIT)
    (path / "requirements.lock").touch()
    (path / "requirements-test.lock").touch()
    return path


def run(
    command: Path | str, *arguments: str, cwd: Path | None = None, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {"CLAW_PYTHON": sys.executable, **os.environ, **variables}
    done = subprocess.run(
        [str(command), *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    return done


def test_first_use_makes_the_environment_and_the_second_does_not(checkout: Path) -> None:
    first = run(checkout / "claw", "up", "a b", "--", "-x")
    seen = json.loads(first.stdout)
    assert seen["prefix"] == str(checkout / ".venv")
    assert seen["arguments"] == ["up", "a b", "--", "-x"]
    assert "claw: making" in first.stderr
    assert run(checkout / "claw").stderr == ""


def test_from_anywhere_through_links_and_unpolluted(checkout: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "absolute").symlink_to(checkout / "claw")
    (elsewhere / "relative").symlink_to("../a folder with spaces/claw")
    (elsewhere / "twice").symlink_to("relative")
    (elsewhere / "json.py").write_text("raise SystemExit('polluted')")
    polluted = {"PYTHONPATH": str(elsewhere), "PYTHONHOME": "/nonexistent"}
    variables = {**polluted, "CDPATH": "/", "PIP_TARGET": "/nonexistent", "PIP_USER": "1"}
    for name in ("./absolute", "./relative", "./twice"):
        seen = json.loads(run(name, cwd=elsewhere, code=0, **variables).stdout)
        assert seen["prefix"] == str(checkout / ".venv")
        assert seen["cwd"] == str(elsewhere)
        assert str(elsewhere) not in seen["path"]
    path = f"{checkout}:{os.environ['PATH']}"
    assert json.loads(run("claw", cwd=elsewhere, PATH=path).stdout)["prefix"]


def test_set_up_that_was_cut_is_finished(checkout: Path) -> None:
    run(checkout / "claw")
    (checkout / ".venv" / "claw-runtime").unlink()  # pip was still at work
    half_done = checkout / ".venv" / "half-done"
    half_done.touch()
    assert "claw: making" in run(checkout / "claw").stderr
    assert not half_done.exists()

    (checkout / ".venv" / "bin" / "python").unlink()  # the system's Python went away
    run(checkout / "claw")


def test_changed_lock_is_installed(checkout: Path) -> None:
    run(checkout / "claw")
    (checkout / "requirements.lock").write_text("# another\n")
    changed = run(checkout / "claw").stderr
    assert "claw: installing the Python packages" in changed
    assert "claw: making" not in changed
    assert run(checkout / "claw").stderr == ""


def test_lock_is_installed_with_hashes_only(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("six==1.17.0\n")
    refused = run(checkout / "claw", code=1)
    assert "--hash" in refused.stderr
    assert "run again to finish" in refused.stderr
    assert refused.stdout == ""


def test_tests_install_their_own_lock_and_leave_the_rest_alone(checkout: Path) -> None:
    assert "and its tests" in run(checkout / "claw", "test").stderr
    assert run(checkout / "claw", "test").stderr == ""
    assert run(checkout / "claw", "up").stderr == ""
    (checkout / "requirements-test.lock").write_text("# another\n")
    assert run(checkout / "claw", "up").stderr == ""
    assert "and its tests" in run(checkout / "claw", "test").stderr


def test_two_first_uses_at_once(checkout: Path) -> None:
    environment = {"CLAW_PYTHON": sys.executable, **os.environ}
    pair = [
        subprocess.Popen(
            [str(checkout / "claw")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], said
    assert sum("claw: making" in errors for _, errors in said) == 1


def test_python_too_old_or_missing_is_named(checkout: Path, tmp_path: Path) -> None:
    old = tmp_path / "bin"
    old.mkdir()
    for tool in ("sh", "dirname", "readlink", "sha256sum", "cat", "sed", "id", "flock"):
        (old / tool).symlink_to(shutil.which(tool) or "/nonexistent")
    script = (checkout / "claw").read_text()
    (checkout / "claw").write_text(script.replace("/usr/bin/python3 ", ""))  # not the machine's own
    refused = run(checkout / "claw", code=1, PATH=str(old), CLAW_PYTHON="python3")
    assert "needs Python 3.10 or newer" in refused.stderr
    assert "apt-get install python3 python3-venv" in refused.stderr


def test_the_venv_package_waits_for_whoever_else_installs(checkout: Path, tmp_path: Path) -> None:
    """As on a cloud image that has just booted."""
    if os.geteuid():
        pytest.skip("root's apt is played")
    (checkout / "templates" / "packages").mkdir(parents=True)
    shutil.copy(ROOT / "templates" / "packages" / "locks.sh", checkout / "templates" / "packages")
    programs = tmp_path / "bin"
    programs.mkdir()
    there = tmp_path / "installed"
    for name, text in {
        # It has no module ensurepip, whatever is installed: nothing further is done.
        "python": f'case $* in *ensurepip*) exit 1 ;; esac; exec {sys.executable} "$@"',
        "apt-config": f"echo apt_lists={tmp_path}",
        "apt-get": f"case $* in *' install -y'*) : >{there} ;; esac",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    claw = (checkout / "claw").read_text()
    (checkout / "claw").write_text(re.sub("/usr/bin/python3 [^;]*", "", claw, count=1))
    path = f"{programs}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CLAW_PYTHON": str(programs / "python")}
    with (tmp_path / "lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [checkout / "claw"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr
        said = next(line for line in process.stderr if "waiting" in line)
        assert f"{tmp_path}/lock is held by process {os.getpid()}" in said
        assert not there.exists()
    assert "still cannot make" in process.communicate()[1] and there.exists()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_locks_hold_names_versions_and_hashes_only(name: str) -> None:
    requirement = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+( ; [^\\]+)? \\")
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    for line in (ROOT / name).read_text().splitlines():
        assert requirement.fullmatch(line) or digest.fullmatch(line), line
    assert "://" not in (ROOT / name).read_text()
