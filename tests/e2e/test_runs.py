"""Runs of `./claw up` with a small deploy file on this machine: exit codes, reports, the lock,
interruption. What they deploy is a file; no engine is needed.
"""

from __future__ import annotations

import json
import os
import pty
import re
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from commandline.run import deploy_lock
from tests.e2e.harness import ROOT, Process, Result, claw, start_claw, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes this machine as root")

DEPLOY = """
from pyinfra import config, host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations.base import files, preflight, snapshot
from operations.base.operation import operation
from tests.e2e import made

Job = made.fact("{directory}")
settings = preflight.run()
config.SUDO = snapshot.needs_sudo(host)
print("a careless print in deploy code")


@operation
def make(path, command):
    there = path.rpartition("/")[2] in snapshot.of(Job)
    if there:
        host.noop("it is there")
    else:
        yield StringCommand(f"{{command}} && touch {{path}}")


@deploy("First")
def first():
    make(name="Make one", path="{directory}/one", command="true")


@deploy("Second")
def second():
    make(name="Make two", path="{directory}/two", command={command!r})


first()
{before}
second()
"""
FOREVER = "echo begun; while :; do sleep 0.1; done"
BEGUN = "(?<!echo )begun"  # said by the command, and not the command as -vvv shows it


@dataclass
class Job:
    """A deploy file of its own, and the deployment it locks."""

    directory: Path
    name: str

    def write(self, command: str = "true", before: str = "") -> None:
        text = DEPLOY.format(directory=self.directory, command=command, before=before)
        (self.directory / "deploy.py").write_text(text)

    def arguments(self, *more: str) -> list[str]:
        deploy = str(self.directory / "deploy.py")
        return ["up", "--deploy", deploy, "--set", f"name={self.name}", *more]

    def run(self, *more: str, expect: int = 0) -> Result:
        return claw(*self.arguments(*more), expect=expect, timeout=120)

    def start(self, *more: str) -> Process:
        return start_claw(*self.arguments(*more))

    def lock(self) -> str:
        path = Path(f"{deploy_lock.DIRECTORY}/{self.name}.lock")
        return path.read_text() if path.exists() else ""

    def commands(self) -> str:
        """The shells that still run this job's commands."""
        found = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True)
        return "\n".join(line for line in found.stdout.splitlines() if f"{self.directory}/" in line)


@contextmanager
def new_job(directory: Path) -> Iterator[Job]:
    one = Job(directory, f"clawtest-{secrets.token_hex(3)}")
    one.write()
    yield one
    Path(f"{deploy_lock.DIRECTORY}/{one.name}.lock").unlink(missing_ok=True)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    with new_job(tmp_path) as one:
        yield one


def test_plan_do_and_nothing_left(job: Job) -> None:
    plan = job.run("--dry", expect=2)
    assert "2 operations would change it" in plan.output
    assert not (job.directory / "one").exists()
    assert not job.lock()

    done = job.run()
    assert "✓ Second | Make two" in done.output
    assert (job.directory / "two").exists()
    assert not job.lock()

    again = job.run()
    assert "nothing to change" in again.output
    job.run("--dry", expect=0)


def test_json_is_all_there_is_on_stdout(job: Job) -> None:
    dry = job.run("--dry", "--json", expect=2)
    assert dry.json["plan"] == {"@local": ["First | Make one", "Second | Make two"]}
    assert dry.json["hosts"]["@local"]["state"] == "pending"
    done = job.run("--json", "-vvv")
    assert done.json["hosts"]["@local"]["changed"] == ["First | Make one", "Second | Make two"]
    assert [stage["name"] for stage in done.json["stages"]] == ["First", "Second"]
    assert "a careless print" in done.stderr
    again = job.run("--json").json
    assert (again["changed"], again["hosts"]["@local"]["changed"], again["stages"]) == (
        False,
        [],
        [],
    )


def test_failure_shows_the_tail_and_is_never_success(job: Job) -> None:
    job.write("echo the reason >&2; false")
    failed = job.run(expect=1)
    assert "✗ Second | Make two" in failed.output
    assert "| the reason" in failed.stderr
    assert "Control UI" not in failed.output
    assert not job.lock()
    document = job.run("--json", expect=1).json
    assert document["hosts"]["@local"]["failed"] == "Second | Make two"
    assert "the reason" in document["hosts"]["@local"]["output"]


def test_a_failure_without_a_word_says_so(job: Job) -> None:
    job.write("exit 3")
    failed = job.run(expect=1)
    assert "Second | Make two: a command failed, and said nothing" in failed.stderr


def test_unexpected_errors_leave_a_traceback_in_a_file_only(job: Job) -> None:
    job.write(before="1 / 0")
    failed = job.run(expect=1)
    assert "unexpected ZeroDivisionError: division by zero" in failed.stderr
    assert "Traceback (most" not in failed.output
    path = re.search(r"traceback in (\S+)\)", failed.stderr)
    assert path and 'deploy.py", line' in Path(path[1]).read_text()
    Path(path[1]).unlink()


def test_unexpected_errors_while_changing_stay_on_their_host(job: Job) -> None:
    deploy = job.directory / "deploy.py"
    broken = "    if host.state.is_executing:\n        raise KeyError('oops')\n    if there:"
    deploy.write_text(deploy.read_text().replace("    if there:", broken))
    failed = job.run("--json", expect=1)
    assert failed.json["hosts"]["@local"]["failed"] == "First | Make one"
    assert "unexpected KeyError: 'oops'" in "\n".join(failed.json["hosts"]["@local"]["output"])
    assert not job.lock()


def test_bad_settings_and_targets_change_nothing(job: Job) -> None:
    for wrong, message in (
        (["--set", "gateway.prot=1"], "gateway.prot"),
        (["--set", "gateway.port=high"], "gateway.port"),
        (["no such target"], "no such target"),
        (["--limit", "elsewhere"], "elsewhere"),
        (["--dry", "--no-such-option"], "--no-such-option"),
    ):
        failed = job.run(*wrong, expect=1)
        assert message in failed.stderr
        assert "Traceback" not in failed.output
        assert not (job.directory / "one").exists()


def test_an_unreachable_host_is_left_out(job: Job) -> None:
    """Ports 1 and 2 of this machine: nobody listens."""
    fleet = job.directory / "fleet.py"
    down = [{"ssh_hostname": "127.0.0.1", "ssh_port": port} for port in (1, 2)]
    fleet.write_text(f"hosts = ['@local', ('down1', {down[0]}), ('down2', {down[1]})]\n")
    failed = job.run(str(fleet), expect=1)
    assert "down1: cannot connect" in failed.stderr
    assert "down2: cannot connect" in failed.stderr
    assert "Failed: down1, down2 (2 of 3 hosts)" in failed.stderr
    assert f"./claw up {fleet} --limit @failed" in failed.stderr
    assert "down1: left out" in failed.stdout.partition("✓ First | Make one")[0]
    assert (job.directory / "one").exists()
    assert "Nothing was changed on any host." in job.run(str(fleet), expect=1).stderr
    assert job.run(str(fleet), "--limit", "@local", "--json").json["changed"] is False
    alone = job.run(str(fleet), "--limit", "down1", expect=1)
    assert "down1: cannot connect" in alone.stderr


def test_second_run_stops_with_the_name_of_the_first(job: Job) -> None:
    job.write(FOREVER)
    first = job.start("-vvv")
    first.wait_for(BEGUN, 60)
    second = job.run(expect=1)
    assert re.search(
        rf"\S+@\S+ \(pid {first.popen.pid}\) is changing this host since", second.stderr
    )
    assert "Nothing was changed" in second.stderr
    job.run("--dry", expect=2)  # takes no lock
    first.interrupt()
    assert first.finish(60).returncode == 130


def test_second_run_waits_when_told_to(job: Job) -> None:
    job.write(f"echo begun; until [ -e {job.directory}/go ]; do sleep 0.1; done")
    first = job.start("-vvv")
    first.wait_for(BEGUN, 60)
    second = job.start("--wait-lock", "60", "--json")
    second.wait_for("waiting: .* is changing this host", 60)
    (job.directory / "go").touch()
    assert first.finish(60).returncode == 0
    result = second.finish(60)
    assert result.returncode == 0
    assert result.json["changed"] is False  # what it had planned, the first run did


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted(job: Job, number: signal.Signals) -> None:
    job.write(FOREVER)
    process = job.start("-vvv")
    process.wait_for(BEGUN, 60)
    process.popen.send_signal(number)
    result = process.finish(60)
    assert result.returncode == 130
    assert "Second | Make two" in result.stderr
    assert not job.commands()
    assert not job.lock()
    job.write()
    assert job.run("--json").json["hosts"]["@local"]["changed"] == ["Second | Make two"]


def test_interruption_lets_a_package_installation_finish(job: Job) -> None:
    """A dpkg that is cut leaves a broken host; what runs inside it must go on, too."""
    apt = job.directory / "apt-get"
    apt.write_text(f"#!/bin/sh\necho begun\nsleep 2\ntouch {job.directory}/installed\n")
    apt.chmod(0o755)
    job.write(str(apt))
    process = job.start("-vvv")
    process.wait_for(BEGUN, 60)
    process.interrupt()
    assert process.finish(60).returncode == 130
    assert (job.directory / "installed").exists()


def test_interruption_waits_for_what_must_not_be_cut(job: Job) -> None:
    """What a script put in the background ignores SIGINT, such as the swap of the gateway."""
    job.write(f"echo begun; (sleep 2; touch {job.directory}/finished) & wait; wait $!")
    process = job.start("-vvv")
    process.wait_for(BEGUN, 60)
    process.interrupt()
    assert process.finish(60).returncode == 130
    assert (job.directory / "finished").exists()


def test_killed_run_leaves_no_lock_and_its_commands_are_ended(job: Job) -> None:
    job.write(FOREVER)
    first = job.start("-vvv")
    first.wait_for(BEGUN, 60)
    first.kill()
    assert job.commands()
    job.write()
    assert job.run("--json").json["hosts"]["@local"]["changed"] == ["Second | Make two"]
    assert not job.commands()


def test_interrupted_while_connecting_or_checking(job: Job) -> None:
    job.write(
        before=f"host.run_shell_command(StringCommand({f'touch {job.directory}/c; sleep 60'!r}))"
    )
    process = job.start("--json")
    until(lambda: (job.directory / "c").exists(), 180, "the check runs")
    process.interrupt()
    result = process.finish(20)
    assert result.returncode == 130
    assert result.json["interrupted"] == ["Checking"]


def test_a_terminal_is_asked_first(job: Job) -> None:
    for answer, code in ((b"n\n", 1), (b"\n", 1), (b"\x03", 130), (b"y\n", 0)):
        said, status = _on_a_terminal(job, answer)
        assert status == code, said
        assert "Make these changes?" in said
        assert (job.directory / "one").exists() == (code == 0)
    said, status = _on_a_terminal(job, b"")
    assert status == 0
    assert "Make these changes?" not in said  # there are none


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_nobody_to_ask(job: Job, more: tuple[str, ...]) -> None:
    argv = ["./claw", *job.arguments(*more)]
    refused = subprocess.run(
        argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert f"To make them: ./claw up --set name={job.name} --deploy " in refused.stderr
    assert not (job.directory / "one").exists()
    job.run()
    done = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr  # nothing to change, nothing to ask


def test_an_interrupted_plan_promises_nothing(job: Job) -> None:
    job.write(
        before=f"import pathlib, time; pathlib.Path('{job.directory}/at').touch(); time.sleep(60)"
    )
    run = job.start("--dry")
    until((job.directory / "at").exists, 60, "the deploy file runs")
    run.popen.send_signal(signal.SIGINT)
    result = run.finish(60)
    assert result.returncode == 130
    assert "nothing to change" not in result.output
    assert "Interrupted" in result.output


def _on_a_terminal(job: Job, answer: bytes) -> tuple[str, int]:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv("./claw", ["./claw", *job.arguments()])
    said = b""
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # how Linux says that the other side is closed
            break
        if not data:
            break
        said += data
        if answer and b"changes? [y/N]" in said:
            os.write(terminal, answer)
            answer = b""
    os.close(terminal)
    return said.decode(errors="replace"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_settings_as_json(job: Job) -> None:
    shown = claw("settings", "--json", "--set", f"name={job.name}", "--set", "gateway.port=19000")
    settings: dict[str, Any] = json.loads(shown.stdout)["@local"]
    assert settings["gateway"]["port"] == 19000
    assert settings["directories"]["project"] == f"/opt/{job.name}"


def test_ssh_config_that_runs_a_command(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        'Match exec "echo %h; test %h = far"\n  HostName 203.0.113.7\n'
    )
    fleet = tmp_path / "fleet.yml"
    fleet.write_text(f"all: {{ssh_config_file: {tmp_path}/config}}\nhosts: {{far: , near: }}\n")
    shown = claw("inventory", str(fleet), "--json").json["hosts"]
    assert shown["far"]["connection"]["address"] == "203.0.113.7"
    assert shown["near"]["connection"]["address"] == "near"


def test_a_container_that_does_not_run_is_left_alone(job: Job) -> None:
    said = claw("up", "@docker/no-such-container", "--dry", expect=1, timeout=60).stderr
    assert "no running container no-such-container" in said
    assert "Traceback" not in said
