"""What all tests share: markers, order, the private engine, and a summary of what was left out."""

from __future__ import annotations

from gevent import monkey

# As `./claw` and pyinfra do it, and before anything makes a lock: one that greenlets do not know
# stops a whole run for good.
monkey.patch_all()

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import engine as lab_engine

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("unit", "operations", "e2e")  # cheap before dear
_left_out: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--keep-lab", action="store_true", help="leave lab hosts for the next run to use again"
    )


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "engine: needs a real Docker Engine; the tests start a private one where they may",
        "slow: deploys from nothing or longer than a minute",
        "browser: needs a headless Chromium",
        "long: takes long; only `./claw test -m long` runs it",
    ):
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.markexpr:
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    for item in items:
        if item.get_closest_marker("engine") and isinstance(item, pytest.Function):
            item.fixturenames.insert(0, "engine")
    items.sort(key=_cost)  # stable: the order within a folder stays


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
