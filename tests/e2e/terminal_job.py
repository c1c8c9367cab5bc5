"""`./claw` on a terminal of 80 columns, as somebody sits before it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping

from tests.e2e.harness import ROOT, until

COLUMNS, LINES = 80, 40
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)")


class Terminal:
    """A command on a terminal; `text` is all that it has said, without colours."""

    def __init__(self, *argv: str, env: Mapping[str, str] | None = None) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm", **(env or {})}
        self.popen = subprocess.Popen(
            argv,
            cwd=ROOT,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._said, self._closed = b"", False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGTERM)
            self.popen.wait(60)
        self._closed = True
        self._reader.join(10)
        os.close(self.master)

    @property
    def text(self) -> str:
        said = self._said.decode("utf-8", "replace").replace("\r", "")
        return CONTROL.sub("", said)

    def wait_for(self, pattern: str, seconds: float = 300) -> re.Match[str]:
        """Until what it says matches; an error if it ends or time runs out first."""

        def seen() -> bool:
            ended = self.popen.poll() is not None
            if ended:
                self._reader.join(10)
            if re.search(pattern, self.text):
                return True
            assert not ended, f"ended without {pattern!r}:\n{self.text[-3000:]}"
            return False

        try:
            until(seen, seconds, repr(pattern))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text[-3000:]}") from None
        found = re.search(pattern, self.text)
        assert found
        return found

    def type(self, text: str) -> None:
        """Type a text and the return key."""
        os.write(self.master, text.encode() + b"\r")

    def ended(self, seconds: float = 120) -> int:
        """Its exit code, once it has ended."""
        code = self.popen.wait(seconds)
        self._reader.join(10)
        return code

    def _read(self) -> None:
        # pyinfra makes greenlets of threads: a read that waits would hold the whole test.
        while not self._closed:
            try:
                if not select.select([self.master], [], [], 0.2)[0]:
                    continue
                said = os.read(self.master, 65536)
            except OSError:
                return
            if not said:
                return
            self._said += said
