"""Files of the control machine that are replaced whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

Version = tuple[int, int, int]
"""Which file is at a path: one that was replaced has another number."""


def version(path: Path) -> Version:
    """Return by what a file is known again as long as nobody has replaced or written it.

    Raises:
        OSError: there is none.
    """
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def replace(path: Path, text: str, mode: int) -> None:
    """Replace a file; who reads it, or a run at the same time, never sees half of it.

    Raises:
        OSError: it cannot be written; it is as it was.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
