"""The private engine as a test session sees it: started on first use, stopped by the last user."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from typing import IO

from lab.client import DATA, SOCKET, LabError, client, labelled
from lab.making import HERE, log, one_at_a_time

SCRIPT = str(HERE / "engine.sh")
STARTED_BY_TESTS = DATA / "started-by-tests"
STARTED_BY_FLEET = DATA / "started-by-fleet"


def obstacle() -> str | None:
    """Why this machine cannot have the private engine; None when it can."""
    if os.geteuid() != 0:
        return "the lab needs root on this machine, for a Docker Engine of its own"
    if not shutil.which("dockerd") and not shutil.which("apt-get"):
        return "there is no dockerd and no apt-get to install it with"
    return None


def is_running() -> bool:
    """Whether the private engine runs and we may use it."""
    return _run("status").returncode == 0


class Engine:
    """A use of the private engine; several test processes may have one at the same time.

    Who comes first starts it; who leaves last stops it, if it was not running before the tests.
    """

    socket = SOCKET
    environment = {"DOCKER_HOST": f"unix://{SOCKET}"}

    def __init__(self) -> None:
        DATA.mkdir(parents=True, exist_ok=True)
        self._users: IO[str] = (DATA / "users.lock").open("w")
        with one_at_a_time():
            fcntl.flock(self._users, fcntl.LOCK_SH)
            if not is_running():
                log.info("starting the lab's Docker Engine; the first time, installing it")
                STARTED_BY_TESTS.touch()
            done = _run("start")
        if done.returncode:
            raise RuntimeError(done.stderr.strip())

    def close(self) -> None:
        with one_at_a_time():
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # another process uses it still
            else:
                if STARTED_BY_TESTS.exists():
                    _run("stop")
                    STARTED_BY_TESTS.unlink()
        self._users.close()


def start_for_fleet() -> None:
    """Start the engine, or take it over from tests that would stop it when they end.

    What is installed and started is said on standard error.
    """
    DATA.mkdir(parents=True, exist_ok=True)
    with one_at_a_time():
        ours = not is_running() or STARTED_BY_TESTS.exists()
        if subprocess.run([SCRIPT, "start"]).returncode:
            raise LabError("the lab's Docker Engine does not start; what it said is above")
        if ours:
            STARTED_BY_FLEET.touch()
            STARTED_BY_TESTS.unlink(missing_ok=True)


def stop_after_fleet() -> bool:
    """Stop the engine if `start_for_fleet` started it and nobody uses it; whether it did.

    Tests that use it now stop it when they end.
    """
    with one_at_a_time(), (DATA / "users.lock").open("w") as users:
        if not STARTED_BY_FLEET.exists() or _fleets():
            return False
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            STARTED_BY_FLEET.rename(STARTED_BY_TESTS)
            return False
        if client().containers.list():
            return False
        STARTED_BY_FLEET.unlink()
        return _run("stop").returncode == 0


def _fleets() -> bool:
    return any(one.labels["lab.fleet"] for one in labelled("lab.fleet"))


def _run(verb: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, verb], capture_output=True, text=True)
