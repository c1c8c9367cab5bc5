"""What the command line says of itself: its version."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress

import click

from commandline.options import leave
from commandline.targets import ROOT


def version() -> str:
    """Return the toolkit's version, with the commit of a checkout."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    words = ["openclaw-pyinfra", found[1] if found else "unknown"]
    if (ROOT / ".git").exists():
        describe = ["git", "-C", str(ROOT), "describe", "--tags", "--always", "--dirty"]
        with suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(
                describe, capture_output=True, encoding="utf-8", check=True, timeout=10
            )
            words.append(f"({said.stdout.strip()})")
    return " ".join(words)


def show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the version and leave, if that is wanted."""
    if wanted and not context.resilient_parsing:
        print(version())
        leave(0)
