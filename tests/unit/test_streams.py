"""Output that cannot be written ends in an exit code and at most one line, never in a traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLAW = f"{sys.executable} -I {ROOT}/commandline/__main__.py"
FULL = "Error: standard output: No space left on device\n"


def claw(line: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, in which `claw` is the command line."""
    done = subprocess.run(
        ["bash", "-c", line.replace("claw", CLAW, 1)],
        env={**os.environ, **variables},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception ignored" not in done.stderr
    return done


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("claw settings root@h >/dev/full", 1, FULL),
        ("claw settings root@h --json >/dev/full", 1, FULL),
        ("claw --help >/dev/full", 1, FULL),
        ("claw settings root@h | true; exit ${PIPESTATUS[0]}", 141, ""),
        ("claw settings root@h --set ssh_port=x 2>/dev/full", 1, ""),
        ("claw settings root@h >/dev/full 2>&1", 1, ""),
    ],
)
def test_output_that_goes_nowhere(line: str, code: int, said: str) -> None:
    done = claw(line)
    assert (done.returncode, done.stderr) == (code, said)


def test_a_run_goes_on_without_its_output_and_fails_as_it_does() -> None:
    done = claw("claw up root@127.0.0.1:1 --dry >/dev/full")
    assert done.returncode == 1
    assert "cannot connect" in done.stderr


def test_too_few_open_files(tmp_path: Path) -> None:
    inventory = tmp_path / "fleet.yml"
    hosts = [f"  h{n}: {{ssh_hostname: 127.0.0.1, ssh_port: {n}}}\n" for n in range(1, 31)]
    inventory.write_text(f"hosts:\n{''.join(hosts)}")
    done = claw(f"ulimit -n 20; claw up {inventory} --dry")
    assert done.returncode == 1
    assert done.stderr.splitlines()[:2] == [
        "Error: Too many open files: 20 are allowed here; accepted: `ulimit -n 1024` before it",
        "Nothing was changed on any host.",
    ]


def test_the_current_directory_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = claw(f"rmdir {gone} && claw settings root@h", cwd=gone)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]  # before it bash may say the same
    assert re.fullmatch(r"Error: the current directory: No such file .*", last)


@pytest.mark.slow
@pytest.mark.parametrize("home", ["", "/proc/none", "/etc/passwd"])
def test_a_home_that_is_none(home: str) -> None:
    done = claw("claw up root@127.0.0.1:1 --dry", HOME=home)
    assert done.returncode == 1
    assert "127.0.0.1: cannot connect: Could not connect" in done.stderr


def test_a_machine_without_ssh(tmp_path: Path) -> None:
    done = claw("claw up root@127.0.0.1:1 --dry", PATH=f"{tmp_path}:{_without_ssh(tmp_path)}")
    assert done.returncode == 1
    assert "this machine has no ssh: install OpenSSH's client" in done.stderr


def _without_ssh(folder: Path) -> Path:
    (folder / "bash").symlink_to("/bin/bash")
    return folder
