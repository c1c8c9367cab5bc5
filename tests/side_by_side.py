"""Tests in processes that take them from each other, and a line that says what goes on.

pytest-xdist would be the tool, but its workers hold locks before gevent has patched anything. Here
each worker collects everything, and takes the next group that nobody has: tests that share what is
dear are one group. Whoever makes a group's directory first has it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

WORKERS = 2
"""As many as a small machine has processors: with three, the engine that they share lost a layer
under a build."""
WORKERS_OF_FAST_TESTS = 4
"""They wait for programs half of the time, and build nothing."""
SHARED = {"deployed", "deployed_trixie", "gateway", "sandboxed", "interrupted"}
"""Fixtures that deploy a gateway: what uses the same ones is one group."""
LOGS = Path(__file__).resolve().parent.parent / "artifacts"
CLEAR = "\r\x1b[J"
NAMES = ("passed", "failed", "error", "skipped", "deselected")


class Worker(logging.Handler):
    """A process that runs the groups it gets, and tells the one that started it."""

    def __init__(self, directory: Path, channel: int) -> None:
        super().__init__()
        self.directory, self.channel = directory, channel
        self.test = ""
        os.set_inheritable(channel, False)

    def tell(self, **event: Any) -> None:
        line = json.dumps({"pid": os.getpid(), "test": self.test[:300], **event})
        os.write(self.channel, f"{line}\n".encode())  # short: a line of one is in none of the other

    def emit(self, record: logging.LogRecord) -> None:
        self.tell(doing=record.getMessage()[:300])

    def pytest_collection(self) -> None:
        self.tell(doing="looking for the tests")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.tell(number=len(session.items))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted(f"{session.testsfailed} errors during collection")
        taken = self._taken(session.items)
        item = next(taken, None)
        while item:
            following = next(taken, None)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            item = following
        return True

    def _taken(self, items: list[pytest.Item]) -> Iterator[pytest.Item]:
        for number, group in enumerate(groups(items)):
            try:
                (self.directory / str(number)).mkdir()
            except FileExistsError:
                continue
            yield from group

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.test = nodeid
        self.tell(doing="")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            wrong = report.failed and report.when != "call"
            self.tell(outcome="error" if wrong else report.outcome)
        elif report.when == "teardown":
            self.tell(doing="")

    def pytest_unconfigure(self) -> None:
        self.tell(ended=True)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.tell(deselected=len(items))


def groups(items: list[pytest.Item]) -> list[list[pytest.Item]]:
    """What one process runs together: files, and those that share what is dear.

    After the cheap folders comes what deploys gateways, so that no process has one left at the end;
    of each kind the largest group first, for the same reason.
    """
    shared: dict[str, str] = {}

    def root(name: str) -> str:
        while shared.get(name, name) != name:
            name = shared[name]
        return name

    keys = []
    for item in items:
        file = item.nodeid.partition("::")[0]
        dear = sorted(SHARED & used(item)) if rank(item) else []
        for one in dear:
            shared[root(one)] = root(dear[0])
        keys.append(dear[0] if dear else file)
    found: dict[str, list[pytest.Item]] = {}
    for item, key in zip(items, keys, strict=True):
        found.setdefault(root(key), []).append(item)
    return sorted(found.values(), key=lambda group: (min(map(rank, group)), -len(group)))


def used(item: pytest.Item) -> set[str]:
    """The fixtures of a test, those included whose names it has as parameters."""
    params = getattr(getattr(item, "callspec", None), "params", {}).values()
    return {*getattr(item, "fixturenames", ()), *(one for one in params if isinstance(one, str))}


def rank(item: pytest.Item) -> int:
    if "e2e" not in item.path.parts:
        return 0
    own = ("fresh_", "local_deployment")
    deploys = any(name in SHARED or name.startswith(own) for name in used(item))
    return 1 if deploys else 2


def run(arguments: list[str], number_of_workers: int) -> int:
    """Run pytest in each worker, with its part of the tests; the exit code."""
    started = time.monotonic()
    LOGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        reading, writing = os.pipe()
        workers = []
        for number in range(number_of_workers):
            with (LOGS / f"tests-{number + 1}.log").open("w", encoding="utf-8") as log:
                command = [sys.executable, "-X", "utf8", "-m", "pytest", *arguments]
                worker = subprocess.Popen(
                    [*command, f"--worker={directory}:{writing}"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[writing],
                )
                workers.append(worker)
        os.close(writing)
        try:
            with os.fdopen(reading, encoding="utf-8") as events:
                counted = shown(map(json.loads, events), number_of_workers)
        except KeyboardInterrupt:
            counted = Counter()
        codes = [worker.wait() for worker in workers]
    for number in sorted(range(number_of_workers), key=lambda one: abs(codes[one])):
        print((LOGS / f"tests-{number + 1}.log").read_text(encoding="utf-8"))  # what failed, last
    seconds = time.monotonic() - started
    numbers = [f"{counted[name]} {name}" for name in NAMES if counted[name]]
    print(f"{', '.join(numbers) or 'no tests ran'} in {seconds:.2f}s".center(80, "="))
    return max(codes, key=abs)


def shown(events: Iterator[dict[str, Any]], number_of_workers: int) -> Counter[str]:
    """Say on standard error what the workers wait for; what became of the tests."""
    counted: Counter[str] = Counter()
    doing: dict[int, str] = {}
    live, started = sys.stderr.isatty(), time.monotonic()
    number, done, said, ended = 0, 0, "", 0
    for event in events:
        if "ended" in event:
            ended += 1
            doing.pop(event["pid"], None)
        if ended == number_of_workers:  # whom they left behind may still have the channel
            break
        number = event.get("number", number)
        if "deselected" in event:
            counted["deselected"] = event["deselected"]
        if outcome := event.get("outcome"):
            counted[outcome] += 1
            done += 1
            if not live and done % 500 == 0:
                print(f"{done}/{number}", file=sys.stderr, flush=True)
            if outcome in ("failed", "error"):
                print(f"{CLEAR if live else ''}{outcome.upper()} {event['test']}", file=sys.stderr)
        if "doing" in event:
            words = (event["test"].removeprefix("tests/"), event["doing"])
            doing[event["pid"]] = ": ".join(filter(None, words))
        so_far = f"{time.monotonic() - started:4.0f} s, {done}/{number}"
        if live:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            drawn = screen([so_far, *doing.values()], width)
            print(drawn, end="", file=sys.stderr, flush=True)
        elif "doing" in event and (event["doing"] or event["test"].startswith("tests/e2e")):
            what = doing[event["pid"]]
            if what != said:
                said = what
                print(f"{so_far}: {what}", file=sys.stderr, flush=True)
    print(CLEAR if live else "", end="", file=sys.stderr)
    return counted


def screen(lines: list[str], width: int) -> str:
    """Return what writes lines over those that were written so before, and leaves the cursor there.

    Of a line that is too long the end counts: what is waited for.
    """
    cut = [line if len(line) < width else f"…{line[2 - width :]}" for line in lines]
    return CLEAR + "\n".join(cut) + (f"\x1b[{len(cut) - 1}A" if cut[1:] else "") + "\r"
