"""A command that is bounded, and for a word of which something waits."""

from __future__ import annotations

import select
import subprocess
from pathlib import Path

from operations.base import templates

SCRIPT = f"""
{templates.render("host/bounded.sh.j2")}
{templates.render("host/live.sh")}
live bounded 60 65536 sh -c 'echo connected; cat "$0"; exit 7' "$1" 2>&1
"""


def test_what_it_says_is_heard_before_it_ends(tmp_path: Path) -> None:
    """OpenClaw's terminal interface says that it is connected, and goes on until it is ended."""
    released = tmp_path / "released"
    subprocess.run(["mkfifo", str(released)], check=True)
    with subprocess.Popen(["sh", "-c", SCRIPT, "sh", str(released)], stdout=-1) as running:
        assert running.stdout
        heard, _, _ = select.select([running.stdout], [], [], 30)
        said = running.stdout.readline() if heard else b""
        released.write_text("and more\n")
        rest = running.stdout.read()
    assert (said, rest, running.returncode) == (b"connected\n", b"and more\n", 7)
