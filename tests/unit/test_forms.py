"""The gateway has two forms; one place asks which, and each other one asks the form."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from operations.gateway import container, form, service
from tests.unit import sources
from toolkit.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ASKING = {
    "operations/engine_access.py": "decides it, from the settings and what the host can",
    "operations/engine/access_problems.py": "judges a change from one form to another",
    "operations/security/stage.py": "what an engine without root cannot use, whatever runs in it",
    "operations/gateway/form.py": "`of`, by which everybody else asks",
    "operations/gateway/compose.py": "has nothing to write where the gateway is a service",
    "operations/gateway/service.py": "has nothing to write where it is a container",
}
FORMS = {"host", "rootless", "socket"}
WORDS = re.compile(
    r"\bdocker (logs|exec|compose (run|exec|logs))\b|\bjournalctl\b"
    r"|['\"]docker['\"], ['\"](logs|exec)"
)
"""How a log is read, and a command is run."""
SAYING = {
    "operations/gateway/container.py",
    "templates/compose/gateway.sh.j2",
    "templates/compose/lines.sh.j2",
    "templates/service/gateway.sh.j2",
    "templates/service/lines.sh.j2",
    # Of engines, of Caddy and tailscaled, and of containers that are tried out, not of the gateway:
    "operations/exposure/stage.py",
    "templates/exposure/configure.sh.j2",
    "templates/exposure/join.sh.j2",
    "templates/exposure/serve.sh.j2",
    "templates/backup/started.sh.j2",
    "templates/compose/rehearsal.sh.j2",
    "templates/engine/rootless.sh.j2",
    "templates/engine/service.sh.j2",
    "templates/images/sandbox/probe.sh.j2",
}


def asks(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute | ast.Name):
        return (node.attr if isinstance(node, ast.Attribute) else node.id) in (
            "gateway_on_host",
            "fixed_form",
        )
    if isinstance(node, ast.Compare):
        sides = [ast.unparse(one) for one in (node.left, *node.comparators)]
        of_form = any(re.search(r"\bform\(|\.(socket|form)$|^(wanted|form)$", one) for one in sides)
        return of_form and any(one.strip("'") in FORMS for one in sides)
    return False


def test_one_place_asks_for_the_form() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder in ("operations", "commandline")
        for path in (ROOT / folder).rglob("*.py")
        if any(map(asks, sources.nodes(path)))
    }
    assert found == ASKING.keys()


def test_log_and_commands_are_each_forms_own() -> None:
    found = set()
    for folder in ("operations", "commandline", "templates"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix not in (".py", ".j2", ".sh"):
                continue
            lines = path.read_text(encoding="utf-8").splitlines()
            code = [line for line in lines if not line.lstrip().startswith(("#", '"""'))]
            if any(map(WORDS.search, code)):
                found.add(str(path.relative_to(ROOT)))
    assert found == SAYING


@pytest.mark.parametrize(
    ("socket", "wanted"),
    [
        ("auto", container),
        ("rootless", container),
        ("socket", container),
        ("host", service),
    ],
)
def test_the_settings_alone_say_which_it_is(socket: str, wanted: Any) -> None:
    settings = Settings.model_validate({"sandbox": {"enabled": True, "socket": socket}})
    assert form.of(settings) is wanted


def test_templates_are_told_the_same_of_both() -> None:
    assert container.TEMPLATE.keys() == service.TEMPLATE.keys()
