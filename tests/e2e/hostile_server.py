"""Runs on a host, as the command that sshd forces: answers as `/run/hostile` says, not as asked.

It knows the marks of the call, as whoever is root there would.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ACTING = (
    b"[/red]\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\xc2\x9b2J\xe2\x80\xae\r<script>alert(1)</script>"
)
KEYS = (
    b"image pulled used sandbox record host_config ports installed label status version health "
    b"readyz time server daemon memory disk release id machine"
).split()
BAD = [b"null", b"7", b'"x"', b"[7]", b"{}", b'{"agents": "x"}', ACTING]
LINE = b"x" * 65536
command = os.environ.get("SSH_ORIGINAL_COMMAND", "")
out, err = sys.stdout.buffer, sys.stderr.buffer


def honest() -> None:
    os.execvp("sh", ["sh", "-c", command])


def flood(stream: Any, data: bytes) -> None:
    while True:
        stream.write(data)


def mark() -> bytes:
    return b"\x1e" + re.findall(r"\b[0-9a-f]{16}\b", command)[-1].encode()


def framed(body: bytes, status: int = 0) -> None:
    out.write(mark() + b" %d %d\n" % (status, len(body)) + body + mark() + b"\n")


def sections(text: bytes) -> None:
    """Answer each probe with the same; what is no probe, as it is."""
    done = subprocess.run(["sh", "-c", command], stdin=sys.stdin, capture_output=True)
    found = re.search(rb"\x1e[0-9a-f]{16} (\d+) (\d+)\n", done.stdout)
    if not found:
        out.write(done.stdout)
        return
    body = done.stdout[found.end() : found.end() + int(found[2])]
    changed = re.sub(
        rb"(\x1e[0-9a-f]{16} [\w-]+\n)[^\x1e]*", lambda one: one[1] + text + b"\n", body
    )
    framed(changed, int(found[1]))


def begun(length: int) -> None:
    out.write(mark() + b" 0 %d\n" % length)
    flood(out, LINE)


def late(what: Callable[[], None]) -> None:
    if "mkdir -p /srv" in command:
        what()
    honest()


def end(stream: Any, text: bytes, code: int) -> None:
    stream.write(text)
    stream.flush()
    os._exit(code)


MODES: dict[str, Callable[[], None]] = {
    "honest": honest,
    "forced": lambda: end(out, b"Please login as somebody else.\n", 142),
    "endless": lambda: flood(out, LINE),
    "endless errors": lambda: flood(err, LINE),
    "huge": lambda: begun(99999999999),
    "liar": lambda: begun(5),
    "bytes": lambda: framed(os.urandom(100000)),
    "nothing": lambda: framed(b""),
    "acting": lambda: sections(ACTING),
    "megabytes": lambda: sections(b"x" * 1000000),
    "failing": lambda: framed(ACTING * 1000, 3),
    "silent": lambda: time.sleep(100000),
    "late flood": lambda: late(lambda: flood(out, ACTING + LINE)),
    "late failure": lambda: late(lambda: end(err, ACTING * 100, 1)),
}


def main(mode: str) -> None:
    if mode.startswith("types "):
        bad = BAD[int(mode.split()[1])]
        sections(b"\n".join(key + mark + bad for key in KEYS for mark in (b" ", b"=")))
    else:
        MODES[mode]()


if __name__ == "__main__":
    main(Path("/run/hostile").read_text().strip())
