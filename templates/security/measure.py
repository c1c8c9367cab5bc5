"""What a container may do, found by trying; runs inside it and prints one JSON object.

Each system call is made by a child of its own, with arguments that achieve nothing. A call counts
as refused if every attempt is answered with EPERM, whether by a filter or for want of a
capability, and as unknown if the answer is ENOSYS; everything else got through to the kernel.
"""

import ctypes
import errno
import json
import os
import select
import signal
import socket
from pathlib import Path

LAST = 600
SECONDS = 0.5
# What a filter lets through for some arguments only.
ATTEMPTS = {
    "ioctl": (0, 0x5401, 0),
    "mknodat": (-1, 0, 0x1000),
    "socket": (1, 1, 0),
    "socketpair": (1, 1, 0, 0),
}


def answer(number, arguments):
    """Return the error of one call, 0 without one; None if it blocks or ends its process."""
    libc = ctypes.CDLL(None, use_errno=True)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        words = [ctypes.c_long(word) for word in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
        ctypes.set_errno(0)
        failed = libc.syscall(ctypes.c_long(number), *words) == -1
        os.write(writer, b"%d\n" % (ctypes.get_errno() if failed else 0))
        os._exit(0)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], SECONDS)
    said = os.read(reader, 16) if ready else b""
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return int(said.split()[0]) if said else None


def calls():
    """Return what becomes of every call that the image's libseccomp has a name for."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
    native = library.seccomp_arch_native()
    found = {}
    for number in range(LAST):
        name = library.seccomp_syscall_resolve_num_arch(native, number)
        if name is None:
            continue
        attempts: list[tuple[int, ...]] = [(0,) * 6, (-1,) * 6]
        if name.decode() in ATTEMPTS:
            attempts.append(ATTEMPTS[name.decode()])
        answers = {answer(number, arguments) for arguments in attempts}
        if answers <= {errno.EPERM, errno.ENOSYS}:
            found[name.decode()] = "unknown" if errno.ENOSYS in answers else "refused"
        else:
            found[name.decode()] = "open"
    return found


def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{key}:"))


def writable():
    """Return the mounts that are writable to this user, the root among them."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [
        mount
        for mount in dict.fromkeys(mounts)
        if not mount.startswith(("/proc", "/sys", "/dev")) and is_writable(Path(mount))
    ]


def is_writable(path):
    if not path.is_dir():
        return os.access(path, os.W_OK)
    attempt = path / f".written-{os.getpid()}"
    try:
        attempt.touch(exist_ok=False)
    except OSError:
        return False
    attempt.unlink()
    return True


print(
    json.dumps(
        {
            "calls": calls(),
            "capabilities": bin(int(status("CapBnd"), 16)).count("1"),
            "no_new_privileges": status("NoNewPrivs") == "1",
            "user": os.getuid(),
            "writable": writable(),
            "interfaces": [name for _, name in socket.if_nameindex() if name != "lo"],
        }
    )
)
