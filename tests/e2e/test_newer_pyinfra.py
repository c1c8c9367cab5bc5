"""A pyinfra that is newer than the one in the lock: what of the toolkit breaks under it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
LOOK = "from toolkit import pyinfra_internals as own; print('\\n'.join(own.missing()))"


def broken(site: Path) -> list[str]:
    """Return the pieces of pyinfra's inside that are gone, and the tests that fail, with the
    packages of a directory in the place of those that are installed.
    """
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.stdout

    gone = [f"gone: {line}" for line in run("-c", LOOK).splitlines()]
    said = run("-m", "pytest", "-q", "-rfE", "tests/unit", "tests/operations").splitlines()
    failed = [line for line in said if line.startswith(("FAILED", "ERROR"))]
    if " passed" not in said[-1]:
        failed.append(said[-1])
    return gone + failed


@pytest.mark.long
def test_the_toolkit_under_the_newest_pyinfra(tmp_path: Path) -> None:
    here = metadata.version("pyinfra")
    newer = [*PIP, "install", "--target", str(tmp_path), f"pyinfra>{here}"]
    done = subprocess.run(newer, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        pytest.skip(f"no pyinfra newer than {here} can be installed: {said[-1] if said else '?'}")
    [found] = metadata.distributions(name="pyinfra", path=[str(tmp_path)])
    what = broken(tmp_path)
    assert not what, f"pyinfra {found.version} breaks:\n" + "\n".join(what)
