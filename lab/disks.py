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
OF_CONTAINERS = (
    *("docker/containers", "docker/image/overlay2/layerdb/mounts", "docker/network"),
    *("docker/volumes", "containerd"),
)


def make(name: str, like: str = "") -> list[str]:
    """Make and mount a disk; return the volumes of a container that has it, [] if it cannot be.

    With `like`, the name of a host that has one, it has what that one's engine has stored: images
    and what its builds keep, but no container. It is not there any more after a boot of this
    machine.
    """
    image, mounted = _paths(name)
    remove(name)
    mounted.mkdir(parents=True, exist_ok=True)
    if not like or not _copied(like, image):
        like = ""
        empty = ["mkfs.ext4", "-q", "-F", "-m0", "-O", "^has_journal", "-E", "nodiscard"]
        if not _done("truncate", "--size", SIZE, str(image)) or not _done(*empty, str(image)):
            remove(name)
            return []
    if not _done("mount", "-o", "loop,noatime", str(image), str(mounted)):
        remove(name)
        return []
    for part in OF_CONTAINERS if like else ():
        shutil.rmtree(mounted / part, ignore_errors=True)
    for part in PARTS:
        (mounted / part).mkdir(exist_ok=True)
    return [f"{mounted}/{part}:/var/lib/{part}" for part in PARTS]


def _copied(name: str, target: Path) -> bool:
    """Copy a host's disk as it is at one moment, whether its engine runs or not."""
    image, mounted = _paths(name)
    copy = (
        'fsfreeze --freeze "$1" || exit; cp --sparse=always --reflink=auto "$2" "$3"; done=$?; '
        'fsfreeze --unfreeze "$1"; exit $done'
    )
    return mounted.is_mount() and _done("sh", "-c", copy, "sh", *map(str, (mounted, image, target)))


def _done(*command: str) -> bool:
    if not shutil.which(command[0]):
        return False
    # In a session of its own: who interrupts the tests leaves no disk frozen.
    return not subprocess.run(command, capture_output=True, start_new_session=True).returncode


def remove(name: str) -> None:
    """Remove the disk of a host that is gone, if it had one."""
    image, mounted = _paths(name)
    if mounted.is_mount():
        _done("umount", "--lazy", str(mounted))
    image.unlink(missing_ok=True)
    with suppress(OSError):  # another session was faster, or it was never there
        mounted.rmdir()


def used(name: str) -> int:
    """How many bytes are stored on a host's disk."""
    return shutil.disk_usage(_paths(name)[1]).used


def names() -> list[str]:
    """The hosts that have a disk, or had one when somebody was killed."""
    return [path.stem for path in (DATA / "disks").glob("*.img")]


def _paths(name: str) -> tuple[Path, Path]:
    return DATA / "disks" / f"{name}.img", DATA / "disks" / name
