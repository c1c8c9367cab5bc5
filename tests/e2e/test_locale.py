"""A control machine whose terminal is not UTF-8: the run ends, is reported, and is remembered."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT
from tests.e2e.test_runs import Job, new_job, pytestmark  # noqa: F401

# What a host may say, in bytes of its own: UTF-8 of three alphabets, and no UTF-8 at all.
SAYS = r"printf '\303\244\342\234\227\346\274\242 \344 said\n'; false"
LATIN = "de_DE.ISO-8859-1"
ENVIRONMENTS = {
    "latin": {"LC_ALL": LATIN, "LANG": LATIN},
    "latin, in vain": {"LANG": LATIN, "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin1:strict"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii": {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"},
    "unknown": {"LC_ALL": "xx_XX.NO-SUCH"},
}


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("locales")
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", folder / LATIN], capture_output=True
    )
    if not (folder / LATIN).is_dir():
        pytest.skip(f"no ISO-8859 locale can be made here: {made.stderr!r}")
    return folder


def run(job: Job, locales: Path, name: str, *more: str, terminal: bool = False) -> tuple[int, str]:
    """The exit code, and all that was said, as that terminal shows it."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME")}
    own = {"LOCPATH": str(locales), "XDG_STATE_HOME": str(job.directory / "state"), "TERM": "xterm"}
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        ["./claw", *job.arguments("-y", *more)],
        cwd=ROOT,
        env={**kept, **own, **ENVIRONMENTS[name]},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    # Not until its end alone: whoever else has the terminal open keeps that away.
    while True:
        if select.select([ours], [], [], 0.1)[0]:
            if not (more_said := read(ours)):
                break
            said += more_said
        elif process.poll() is not None:
            break
    os.close(ours)
    return process.wait(), said.decode("latin-1" if "latin" in name else "utf-8")


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # a terminal that nobody has open any more
        return b""


@pytest.mark.whole
@pytest.mark.parametrize(
    ("name", "terminal"),
    [
        ("latin", True),
        *(pytest.param(name, False, marks=pytest.mark.long) for name in ENVIRONMENTS),
    ],
)
def test_a_run_is_reported_and_remembered(
    tmp_path: Path, locales: Path, name: str, terminal: bool
) -> None:
    with new_job(tmp_path) as job:
        job.write(command=SAYS)
        code, said = run(job, locales, name, terminal=terminal)
        assert code == 1, said
        assert ("äx? ? said" if "latin" in name else "ä✗漢 \ufffd said") in said
        assert ("x Second | Make two" if "latin" in name else "✗ Second | Make two") in said
        assert "Traceback" not in said and "unexpected" not in said
        timelines = [path.read_text("utf-8") for path in tmp_path.glob("state/*/timelines/**/*")]
        assert len(timelines) == 1 and "charset" in timelines[0]
        job.write()
        code, said = run(job, locales, name, "--limit", "@failed")
        assert code == 0, said
        assert (tmp_path / "two").exists()
