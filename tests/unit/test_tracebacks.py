"""No traceback reaches the terminal, whoever raises; the file that has them is named once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import logging, sys, threading
from gevent import monkey; monkey.patch_all()
import gevent
from commandline import errors, options
from toolkit import terminal
errors.take_over()
terminal.guard()
class Bad:
    def __del__(self):
        raise ValueError("of a finalizer")
def bad(text):
    raise ValueError(text)
gevent.spawn(bad, "of a greenlet").join()
gevent.get_hub().threadpool.spawn(bad, "of a pool").wait()
thread = threading.Thread(target=bad, args=("of a thread",)); thread.start(); thread.join()
Bad()
try:
    bad("of a logger")
except ValueError:
    logging.getLogger("paramiko.transport").exception("it failed")
for name in "abc":
    print(f"{name}: {errors.explain(KeyError(name))}", file=sys.stderr)
options.leave(CODE)
"""


def said(script: str, tmp_path: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_all_of_them_go_to_one_file(tmp_path: Path) -> None:
    *errors, last = said(SCRIPT.replace("CODE", "1"), tmp_path)
    assert errors == [f"{name}: unexpected KeyError: '{name}'" for name in "abc"]
    found = re.fullmatch(r"\(traceback in (\S+)\)", last)
    assert found
    assert Path(found[1]).stat().st_mode & 0o777 == 0o600
    text = Path(found[1]).read_text()
    for word in ("greenlet", "pool", "thread", "finalizer", "logger"):
        assert f"ValueError: of a {word}" in text
    assert [*tmp_path.iterdir()] == [Path(found[1])]


def test_what_a_library_logs_of_a_run_that_ends_well_is_nobody_s(tmp_path: Path) -> None:
    head, _, _ = SCRIPT.partition("class Bad")
    assert said(f"{head}logging.getLogger('x').error('oops')\noptions.leave(0)", tmp_path) == []
    assert [*tmp_path.iterdir()] == []
