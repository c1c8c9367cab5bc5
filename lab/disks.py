"""A disk of its own for what the engine of a throw-away host keeps: it goes in an instant.

Without one, hundreds of thousands of files of images and build caches are removed one by one,
which takes minutes.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from lab.client import DATA

SIZE = "100G"
"""Of a file that takes no more room than what is written to it."""
PARTS = ("docker", "containerd")


def make(name: str) -> list[str]:
    """Make and mount a disk; return the volumes of a container that has it, [] if it cannot be.

    It is not there any more after a boot of this machine.
    """
    image, mounted = _paths(name)
    remove(name)
    mounted.mkdir(parents=True, exist_ok=True)
    for command in (
        ["truncate", "--size", SIZE, str(image)],
        ["mkfs.ext4", "-q", "-F", "-m0", "-O", "^has_journal", "-E", "nodiscard", str(image)],
        ["mount", "-o", "loop,noatime", str(image), str(mounted)],
    ):
        if not shutil.which(command[0]) or subprocess.run(command, capture_output=True).returncode:
            remove(name)
            return []
    for part in PARTS:
        (mounted / part).mkdir()
    return [f"{mounted}/{part}:/var/lib/{part}" for part in PARTS]


def remove(name: str) -> None:
    """Remove the disk of a host that is gone, if it had one."""
    image, mounted = _paths(name)
    if mounted.is_mount():
        subprocess.run(["umount", "--lazy", str(mounted)], capture_output=True)
    image.unlink(missing_ok=True)
    with suppress(OSError):  # another session was faster, or it was never there
        mounted.rmdir()


def names() -> list[str]:
    """The hosts that have a disk, or had one when somebody was killed."""
    return [path.stem for path in (DATA / "disks").glob("*.img")]


def _paths(name: str) -> tuple[Path, Path]:
    return DATA / "disks" / f"{name}.img", DATA / "disks" / name
