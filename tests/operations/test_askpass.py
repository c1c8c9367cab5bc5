"""Where sudo's password lies on a host, for how long, and who can get at it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from operations.base import templates

SCRIPT = templates.render("access/askpass.sh.j2")
# A connection of its own, as that of a killed run: what has it as its parent ends, and so does it.
CONNECTION = "import subprocess, sys; subprocess.run(sys.argv[1:], check=True)"


def install(runtime: Path, *before: str) -> Path:
    """Run it as a host does, and return where the helper is."""
    done = subprocess.run(
        [*before, "sh", "-c", SCRIPT],
        input="printf '%s\\n' secret\n",
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime), "HOME": str(runtime)},
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_the_helper_is_in_a_directory_of_the_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        helper = install(tmp_path)
    finally:
        os.umask(before)
    assert helper.parent.parent == tmp_path
    assert (mode(helper.parent), mode(helper)) == ("0o700", "0o700")
    assert subprocess.run([helper], capture_output=True, check=True).stdout == b"secret\n"
    other = install(tmp_path)
    assert helper.exists() and other != helper, "that of a run that goes on stays"


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path) -> None:
    left = install(tmp_path, sys.executable, "-c", CONNECTION)
    assert left.exists()
    old = tmp_path / "openclaw-askpass.abcdef"
    young = tmp_path / "openclaw-askpass.ghijkl"
    for path in (old, young):
        path.write_text("#!/bin/sh\n")
    os.utime(old, (1, 1))
    helper = install(tmp_path)
    assert helper.exists()
    assert not left.exists()
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="plays another user")
@pytest.mark.parametrize("kind", ["directory", "link", "open"])
def test_a_directory_that_somebody_else_made_is_not_used(tmp_path: Path, kind: str) -> None:
    planted = tmp_path / "openclaw-askpass-0"
    if kind == "link":
        (tmp_path / "mine").mkdir(mode=0o777)
        planted.symlink_to(tmp_path / "mine")
        os.chown(planted, 1000, 1000, follow_symlinks=False)
    else:
        planted.mkdir()
        planted.chmod(0o777 if kind == "open" else 0o700)
        os.chown(planted, 0 if kind == "open" else 1000, 1000)
    helper = install(tmp_path)
    assert planted not in helper.parents
    assert mode(helper.parent) == "0o700"
    helper.unlink()


def test_it_is_the_connections_process_that_counts(tmp_path: Path) -> None:
    """That of this very process here, which is a Python as `./claw` on this machine is."""
    own = Path("/proc/self/comm")
    name = own.read_text().removesuffix("\n")  # which the kernel adds
    own.write_text("python3")  # a pytest that was started by its own name has that
    try:
        helper = install(tmp_path)
    finally:
        own.write_text(name)
    started = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    assert helper.read_text().splitlines()[1] == f"# {os.getpid()} {started}"
