"""The floors of the code and the order of its rooms: docs/development.md draws them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.unit import sources

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("toolkit", "operations", "commandline")
"""A floor imports what is on it and below it."""
ROOMS = (
    ("base",),
    ("distributions",),
    (
        *("container_user", "engine_access", "nftables", "packages", "project", "recorded"),
        "scheduling",
        "system",
        "tailnet",
    ),
    ("engine", "hardening", "security"),
    ("images",),
    ("gateway",),
    ("configuration",),
    ("activation",),
    ("backup", "channels", "devices", "exposure", "openclaw", "sandbox"),
    ("record", "smoke", "upgrade", "verification", "watch"),
    ("lifecycle",),
)
"""Of operations/, likewise."""


def modules() -> dict[str, Path]:
    found = {}
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """Yield what a file imports, of this repository; modules by their whole names."""
    for node in sources.nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


@cache
def arrows() -> dict[str, set[str]]:
    return {name: set(imported(path)) for name, path in MODULES.items()}


def place(name: str) -> tuple[int, int]:
    """Return the floor of a module, and in operations/ its room."""
    floor, _, rest = name.partition(".")
    room = rest.partition(".")[0]
    rooms = [number for number, names in enumerate(ROOMS) if room in names]
    return FLOORS.index(floor), rooms[0] if floor == "operations" and rest else 0


def test_every_module_of_operations_has_a_room() -> None:
    rooms = {name.split(".")[1] for name in MODULES if name.startswith("operations.")}
    assert rooms == {room for names in ROOMS for room in names}


def test_no_arrow_goes_up() -> None:
    up = [
        f"{name} imports {other}"
        for name, others in arrows().items()
        for other in others & MODULES.keys()
        if place(other) > place(name)
    ]
    assert not up


def test_no_circle() -> None:
    rest = {name: others & MODULES.keys() for name, others in arrows().items()}
    while free := [name for name, others in rest.items() if not others & rest.keys()]:
        for name in free:
            del rest[name]
    assert not rest


def test_the_lab_is_for_its_verb_the_tests_and_the_bench() -> None:
    users = [
        name
        for name, others in arrows().items()
        if any(other.partition(".")[0] in ("lab", "tests", "bench") for other in others)
    ]
    assert users == ["commandline.verbs.lab"]


def test_every_operation_is_reached_from_a_deploy_file() -> None:
    """What registers a probe or a check must not vanish because nobody imports it any more.

    `deploy.py` has all but what is done to a deployment that is there, which has files of its own.
    """
    reached = reached_from(ROOT / "deploy.py")
    later = [reached_from(path) for path in (ROOT / "deploys").glob("*.py")]
    operations = {
        name
        for name, path in MODULES.items()
        if name.startswith("operations.") and path.name != "__init__.py"
    }
    # What `./claw doctor`, `devices`, `logs`, `report`, `status` and `verify --smoke` alone ask.
    asked = {
        "operations.devices",
        "operations.lifecycle.attention",
        "operations.lifecycle.logs",
        "operations.lifecycle.looking",
        "operations.lifecycle.runs",
        "operations.lifecycle.status",
        "operations.sandbox.doctor",
        "operations.smoke",
    }
    assert operations - reached.union(*later) == asked
    apart = {name.split(".")[1] for name in operations - reached}
    assert apart == {"backup", "devices", "lifecycle", "sandbox", "smoke"}


def test_every_deploy_file_asks_the_engine_for_what_its_facts_read() -> None:
    """A fact that reads the shared listing is empty without it, and says nothing of that."""
    for path in (ROOT / "deploy.py", *(ROOT / "deploys").glob("*.py")):
        assert "operations.images.listing" in reached_from(path), path.name


def reached_from(deploy: Path) -> set[str]:
    reached: set[str] = set()
    waiting = list(imported(deploy))
    while waiting:
        name = waiting.pop()
        if name in MODULES and name not in reached:
            reached.add(name)
            waiting += arrows()[name]
    return reached
