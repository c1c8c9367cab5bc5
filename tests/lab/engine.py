"""The private engine as a test session sees it: started on first use, stopped by the last user."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from typing import IO

from tests.lab.hosts import DATA, HERE, SOCKET, one_at_a_time

SCRIPT = str(HERE / "engine.sh")
STARTED_BY_TESTS = DATA / "started-by-tests"


def obstacle() -> str | None:
    """Why this machine cannot have the private engine; None when it can."""
    if os.geteuid() != 0:
        return "a private engine needs root"
    if not shutil.which("dockerd") and not shutil.which("apt-get"):
        return "there is no dockerd and no apt-get to install it with"
    return None


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
            if _run("status").returncode:
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


def _run(verb: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, verb], capture_output=True, text=True)
