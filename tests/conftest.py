"""What all tests share: tiers, markers, order, the private engine, a summary of what was left out.

The tiers, where no files are named: `--fast` runs unit and operations tests, but for those marked
`slow`; without an option these and the end-to-end tests come too, but for those marked `whole`;
`--all` runs these as well. What is marked `long` is in none.
"""

from __future__ import annotations

from gevent import monkey

# As `./claw` and pyinfra do it, and before anything makes a lock: one that greenlets do not know
# stops a whole run for good.
monkey.patch_all()

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import engine as lab_engine
from lab.stand_ins import STAND_INS
from tests import side_by_side, spawning

spawning.by_vfork()

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("unit", "operations", "e2e")  # cheap before dear
_left_out: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("openclaw-pyinfra")
    group.addoption("--fast", action="store_true", help="unit and operations tests, the quick ones")
    group.addoption("--all", action="store_true", help="every test but those marked long")
    group.addoption("--keep-lab", action="store_true", help="leave lab hosts for the next run")
    group.addoption(
        "--ubuntu",
        metavar="CODENAME",
        choices=tuple(STAND_INS),
        help="lab hosts are stand-ins of that Ubuntu, whatever Debian a test wants",
    )
    group.addoption("--worker", help="DIRECTORY:FD of side_by_side.py; not for people")


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "engine: needs a real Docker Engine; the tests start a private one where they may",
        "browser: needs a headless Chromium",
        "slow: takes seconds; not with `./claw test --fast`",
        "whole: takes minutes; `./claw test --all` runs it, or its file by name",
        "long: takes long; only `./claw test -m long` runs it",
    ):
        config.addinivalue_line("markers", marker)
    if config.option.worker:
        directory, channel = config.option.worker.split(":")
        worker = side_by_side.Worker(Path(directory), int(channel))
        config.pluginmanager.register(worker)
        logging.getLogger("lab").addHandler(worker)
        logging.getLogger("lab").setLevel(logging.INFO)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """A whole tier runs in several processes; what is named runs in this one."""
    option = config.option
    alone = option.worker or option.collectonly or option.usepdb or option.help or option.version
    if alone or option.markers or option.showfixtures or not _tier(config):
        return None
    workers = side_by_side.WORKERS_OF_FAST_TESTS if option.fast else side_by_side.WORKERS
    return side_by_side.run(list(config.invocation_params.args), workers)


def _tier(config: pytest.Config) -> bool:
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    fast = _tier(config) and config.option.fast
    return True if fast and collection_path == ROOT / "tests" / "e2e" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.markexpr:
        left: list[pytest.Item] = []
        kept: list[pytest.Item] = []
        for item in items:
            (left if _is_left(config, item) else kept).append(item)
        config.hook.pytest_deselected(items=left)
        items[:] = kept
    for item in items:
        if item.get_closest_marker("engine") and isinstance(item, pytest.Function):
            item.fixturenames.insert(0, "engine")
    items.sort(key=_cost)  # stable: the order within a folder stays


def _is_left(config: pytest.Config, item: pytest.Item) -> bool:
    left = {"long"}
    if _tier(config) and not config.option.all:
        left |= {"slow", "whole"} if config.option.fast else {"whole"}
    return any(item.get_closest_marker(name) for name in left)


def _cost(item: pytest.Item) -> tuple[int, int]:
    folder = item.path.relative_to(ROOT / "tests").parts[0]
    names = getattr(item, "fixturenames", ())
    own_deploy = any(name.startswith("fresh_") for name in names)
    return (FOLDERS.index(folder) if folder in FOLDERS else 0, int(own_deploy))


@pytest.fixture(scope="session")
def engine() -> Iterator[lab_engine.Engine]:
    """The private engine, running. Skips where there cannot be one; in CI that is a failure."""
    obstacle = lab_engine.obstacle()
    if obstacle:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run the engine tests: {obstacle}", pytrace=False)
        pytest.skip(obstacle)
    running = lab_engine.Engine()
    yield running
    running.close()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        _left_out[str(report.longrepr[2]).removeprefix("Skipped: ")] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left_out:
        terminalreporter.section("left out")
        for reason, number in _left_out.most_common():
            terminalreporter.line(f"{number} test{'s' if number > 1 else ''}: {reason}")
