"""`claw` before Python: it finds itself and a Python, and makes .venv from the lock.

Run on a copy with an empty lock and a toolkit that only says what it sees, so nothing is fetched.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT

pytestmark = pytest.mark.whole

LONG = pytest.mark.long
TOOLKIT = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "prefix": sys.prefix, "cwd": os.getcwd(),
                  "path": sys.path, "home": os.environ.get("PYTHONHOME")}))
"""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    return _checkout(tmp_path / "a folder with spaces")


def _checkout(path: Path) -> Path:
    (path / "commandline").mkdir(parents=True)
    shutil.copy(ROOT / "claw", path / "claw")
    (path / "commandline" / "__main__.py").write_text(TOOLKIT)
    (path / "requirements.lock").touch()
    (path / "requirements-test.lock").touch()
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that was used once; making an environment takes seconds."""
    path = _checkout(tmp_path_factory.mktemp("made") / "checkout")
    run(path / "claw")
    return path


@pytest.fixture
def checkout(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "a folder with spaces", symlinks=True))


def run(
    command: Path | str, *arguments: str, cwd: Path | None = None, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {"CLAW_PYTHON": sys.executable, **os.environ, **variables}
    done = subprocess.run(
        [str(command), *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    return done


def test_first_use_makes_the_environment_and_the_second_does_not(bare: Path) -> None:
    first = run(bare / "claw", "up", "a b", "--", "-x")
    seen = json.loads(first.stdout)
    assert seen["prefix"] == str(bare / ".venv")
    assert seen["arguments"] == ["up", "a b", "--", "-x"]
    assert "claw: installing" in first.stderr
    assert len(first.stderr.splitlines()) == 1
    assert run(bare / "claw").stderr == ""


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


def test_set_up_that_was_cut_leaves_what_was_there(checkout: Path) -> None:
    before = (checkout / ".venv").readlink()
    (checkout / "requirements-test.lock").write_text("six==1.17.0\n")  # pip refuses it
    refused = run(checkout / "claw", "test", code=1).stderr
    assert "six==1.17.0" in refused and "run again to try again" in refused
    assert (checkout / ".venv").readlink() == before
    assert run(checkout / "claw", "up").stderr == ""
    half_done = checkout / ".venv.killed"
    half_done.mkdir()

    (checkout / ".venv" / "bin" / "python").unlink()  # the system's Python went away
    assert "claw: installing" in run(checkout / "claw").stderr
    assert not half_done.exists()
    left = [path for path in checkout.glob(".venv*") if not path.is_symlink()]
    assert left == [checkout / (checkout / ".venv").readlink()]


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *(pytest.param(one, marks=LONG) for one in (signal.SIGINT, signal.SIGTERM))],
)
def test_set_up_that_is_ended_breaks_no_verb(number: int, checkout: Path, tmp_path: Path) -> None:
    (checkout / "requirements-test.lock").write_text("# another\n")
    # A Python that says when pip is at work, and then waits.
    python = checkout / "python"
    python.write_text(
        f"#!/bin/sh\ncase $* in *venv*) touch {tmp_path}/begun; exec sleep 60;; esac\n"
        f'exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    process = subprocess.Popen(
        [checkout / "claw", "test"],
        env={**os.environ, "CLAW_PYTHON": str(python)},
        start_new_session=True,
    )
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.01)
    assert run(checkout / "claw", "up").stderr == ""  # also while it is at work
    os.killpg(process.pid, number)
    assert process.wait(30) in (128 + number, -number)
    assert run(checkout / "claw", "up").stderr == ""
    assert run(checkout / "claw", "test").returncode == 0
    assert len([*checkout.glob(".venv.*")]) == 1


@LONG
def test_a_verb_that_runs_keeps_its_packages_while_others_are_set_up(checkout: Path) -> None:
    waits = "import sys\nprint('here', flush=True)\ninput()\nimport pip.__main__\nprint('there')\n"
    run(checkout / "claw")
    said = (checkout / "commandline" / "__main__.py").read_text()
    (checkout / "commandline" / "__main__.py").write_text(waits)
    verb = subprocess.Popen(
        [checkout / "claw"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert verb.stdout and verb.stdin
    assert verb.stdout.readline() == "here\n"
    (checkout / "commandline" / "__main__.py").write_text(said)
    for name in ("requirements.lock", "requirements-test.lock"):
        (checkout / name).write_text("# another\n")
    run(checkout / "claw", "test")
    assert verb.communicate("\n")[0] == "there\n"


def test_changed_lock_is_installed(checkout: Path) -> None:
    made = (checkout / ".venv").readlink()
    (checkout / ".venv").unlink()
    (checkout / made).rename(checkout / ".venv")  # where an older claw has made it
    (checkout / "requirements.lock").write_text("# another\n")
    assert "claw: installing the Python packages" in run(checkout / "claw").stderr
    assert (checkout / ".venv").is_symlink()
    assert len([*checkout.glob(".venv.*")]) == 1
    assert run(checkout / "claw").stderr == ""


def test_help_of_the_tests_installs_none_of_their_packages(checkout: Path) -> None:
    (checkout / "requirements-test.lock").write_text("six==1.17.0\n")
    for arguments in (["test", "--help"], ["test", "tests/unit", "-h"]):
        assert run(checkout / "claw", *arguments).stderr == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_lead_nowhere(closed: str, checkout: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    (checkout / "commandline" / "__main__.py").write_text(
        "import os, sys\n"
        "found = [os.readlink(f'/proc/self/fd/{number}') for number in range(3)]\n"
        f"open({str(said)!r}, 'w').write(' '.join(found))"
    )
    command = f'"{checkout}/claw" {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, stdin=0)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert said.read_text().count("/dev/null") >= closed.count("&-")


@pytest.mark.parametrize("path", ["", "/nonexistent"])
def test_path_without_the_tools_of_the_system(path: str, checkout: Path) -> None:
    assert json.loads(run(checkout / "claw", PATH=path).stdout)["prefix"]


def test_lock_is_installed_with_hashes_only(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("six==1.17.0\n")
    refused = run(checkout / "claw", code=1)
    assert "--hash" in refused.stderr
    assert "run again to try again" in refused.stderr
    assert refused.stdout == ""


def test_tests_install_their_own_lock_and_leave_the_rest_alone(checkout: Path) -> None:
    said = run(checkout / "claw", "test").stderr
    assert "and its tests" in said and len(said.splitlines()) == 1, said  # whatever pip has to say
    assert run(checkout / "claw", "test").stderr == ""
    assert run(checkout / "claw", "up").stderr == ""
    (checkout / "requirements-test.lock").write_text("# another\n")
    assert run(checkout / "claw", "up").stderr == ""
    assert "and its tests" in run(checkout / "claw", "test").stderr


def test_two_first_uses_at_once(bare: Path) -> None:
    environment = {"CLAW_PYTHON": sys.executable, **os.environ}
    pair = [
        subprocess.Popen(
            [str(bare / "claw")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], said
    assert sum("claw: installing" in errors for _, errors in said) == 1


def test_python_too_old_or_missing_is_named(bare: Path, tmp_path: Path) -> None:
    old = tmp_path / "bin"
    old.mkdir()
    for tool in ("sh", "dirname", "readlink", "sha256sum", "cat", "sed", "id", "flock"):
        (old / tool).symlink_to(shutil.which(tool) or "/nonexistent")
    script = (bare / "claw").read_text()
    (bare / "claw").write_text(script.replace("/usr/bin/python3 ", ""))  # not the machine's own
    refused = run(bare / "claw", code=1, PATH=str(old), CLAW_PYTHON="python3")
    assert "needs Python 3.10 or newer" in refused.stderr
    assert "apt-get install python3 python3-venv" in refused.stderr


def test_the_venv_package_waits_for_whoever_else_installs(bare: Path, tmp_path: Path) -> None:
    """As on a cloud image that has just booted."""
    if os.geteuid():
        pytest.skip("root's apt is played")
    (bare / "templates" / "packages").mkdir(parents=True)
    shutil.copy(ROOT / "templates" / "packages" / "manager.sh", bare / "templates" / "packages")
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
    claw = (bare / "claw").read_text()
    (bare / "claw").write_text(re.sub("/usr/bin/python3 [^;]*", "", claw, count=1))
    path = f"{programs}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CLAW_PYTHON": str(programs / "python")}
    with (tmp_path / "lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [bare / "claw"],
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
