"""The deploy lock against users of the host, and beside earlier releases of the toolkit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from commandline.run import deploy_lock
from tests.e2e.test_runs import BEGUN, FOREVER, Job, new_job

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes this machine as root")


@dataclass
class User:
    """A user of the host without root, uid 1000, and what he planted."""

    job: Job
    earlier: Path
    processes: list[subprocess.Popen[bytes]]

    def run(self, *words: str) -> None:
        """Start something that goes on, and wait until it has said that it does."""
        process = subprocess.Popen(
            ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", *words],
            stdout=subprocess.PIPE,
        )
        self.processes.append(process)
        assert process.stdout
        process.stdout.readline()


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with new_job(tmp_path) as job:
        one = User(job, Path(f"{deploy_lock.EARLIER}/openclaw-{job.name}.lock"), [])
        yield one
    for process in one.processes:
        process.kill()
        process.wait()
    if one.earlier.is_dir() and not one.earlier.is_symlink():
        one.earlier.rmdir()
    one.earlier.unlink(missing_ok=True)


def test_a_user_of_the_host_neither_holds_the_lock_nor_leads_it_astray(user: User) -> None:
    """Where earlier releases have it: a link to a file of root, a held lock, a directory."""
    precious = user.job.directory / "precious"
    precious.write_text("of root\n")
    user.earlier.symlink_to(precious)
    os.chown(user.earlier, 1000, 1000, follow_symlinks=False)
    user.job.run()
    assert precious.read_text() == "of root\n"

    mine = f"id=x\nowner=somebody\nprocess={os.getpid()} {_started(os.getpid())}\n"
    user.run(
        "sh", "-c", f"printf '{mine}' >{user.earlier}; exec flock {user.earlier} -c 'echo; cat'"
    )
    (user.job.directory / "two").unlink()
    user.job.run()

    user.earlier.mkdir()
    os.chown(user.earlier, 1000, 1000)
    (user.job.directory / "two").unlink()
    user.job.run()
    assert Path(deploy_lock.DIRECTORY).stat().st_mode & 0o777 == 0o700


@pytest.mark.long
def test_a_users_process_is_not_waited_for_as_a_command_of_a_killed_run(user: User) -> None:
    """Everybody sees a run's id, and can carry it in a process that does not want to end."""
    user.job.write(FOREVER)
    first = user.job.start("-vvv")
    first.wait_for(BEGUN, 60)
    (number,) = re.findall("^id=(.*)$", user.job.lock(), re.M)
    carried = f"{deploy_lock.VARIABLE}={number}"
    user.run("env", carried, "sh", "-c", "trap '' INT TERM; echo; while :; do sleep 1; done")
    first.kill()
    user.job.write()
    assert user.job.run("--json").json["hosts"]["@local"]["changed"] == ["Second | Make two"]
    assert user.processes[0].poll() is None


def test_a_users_process_has_no_other_ended_by_its_name(user: User) -> None:
    """A line break in a process's name is not the end of what is said of that process."""
    other = subprocess.Popen(["sleep", "600"])
    user.processes.append(other)
    name = f"open C, q(>/proc/self/comm); print C qq(x\\n{other.pid} y); close C"
    named = f"$| = 1; {name}; print qq(\\n); sleep"
    user.run("env", f"{deploy_lock.VARIABLE}=of-a-run", "perl", "-e", named)
    theirs = user.processes[-1]
    subprocess.run(["sh", "-c", deploy_lock.script("-", "stop", "of-a-run")], check=True)
    assert theirs.wait(10) == -signal.SIGINT
    assert other.poll() is None


@pytest.mark.parametrize("name", ["claw", "cl\naw) Z 1"])
def test_a_run_of_an_earlier_release_and_one_of_this_see_each_other(user: User, name: str) -> None:
    own = Path("/proc/self/comm")
    before = own.read_text().removesuffix("\n")
    own.write_text(name)
    try:
        _see_each_other(user)
    finally:
        own.write_text(before)


def _see_each_other(user: User) -> None:
    holder = f"{os.getpid()} {_started(os.getpid())}"
    held = f"id=earlier\nowner=an earlier release\nsince=1\nprocess={holder}\n"
    user.earlier.write_text(held)
    refused = user.job.run(expect=1)
    assert "an earlier release is changing this host" in refused.stderr
    assert user.earlier.read_text() == held

    user.earlier.write_text(held.replace(holder, f"{holder}0"))  # it is gone
    user.job.write(FOREVER)
    first = user.job.start("-vvv")
    first.wait_for(BEGUN, 60)
    assert f"process={first.popen.pid} " in user.earlier.read_text()
    assert user.earlier.stat().st_mode & 0o777 == 0o600
    first.interrupt()
    first.finish(60)
    assert not user.earlier.exists()


def _started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
