"""What the toolkit reads and writes is UTF-8, whatever the locale of the control machine."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.unit import sources

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for name in ("commandline", "operations", "toolkit")
    for path in (ROOT / name).rglob("*.py")
)


def test_ruff_finds_no_file_opened_in_the_locales_encoding() -> None:
    """Its rule is in preview still; to turn that on for the project would turn on much more."""
    words = [
        "check",
        "--preview",
        "--select",
        "PLW1514",
        "--isolated",
        "commandline",
        "operations",
        "toolkit",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_what_ruff_does_not_see_names_its_encoding() -> None:
    """Methods of what has no type for ruff, and text from programs."""
    for path in SOURCES:
        for node in sources.nodes(path):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", "")
                given = {keyword.arg for keyword in node.keywords}
                needed = name in ("read_text", "write_text") or "text" in given
                program = name in ("run", "Popen", "check_output")
                if needed and (program or "text" not in given):
                    assert "encoding" in given, f"{path}:{node.lineno}"
