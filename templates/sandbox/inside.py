# Runs in a sandbox, through the agent's own exec; prints what this place allows, as a line of JSON.
import ctypes
import errno
import json
import os
import shutil
import socket
import sys

nonce, words, extra = sys.argv[1], sys.argv[2].split(), sys.argv[3:]


def attempt(action):
    """What the kernel answers: "done", or the name of the error."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return "done"


def write(directory):
    path = os.path.join(directory, ".openclaw-proof-%d" % os.getpid())
    with open(path, "w") as file:
        file.write("x")
    os.unlink(path)


def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), "")


def connect():
    with socket.socket() as client:
        client.settimeout(3)
        client.connect(("192.0.2.1", 9))  # no machine has it (RFC 5737)


def leave():
    """In a child: a process that has left its namespace is none to go on with."""
    child = os.fork()
    if child == 0:
        answer = attempt(lambda: call("unshare", 0x10000000))  # CLONE_NEWUSER
        os._exit(0 if answer == "done" else getattr(errno, answer, 255))
    code = (
        os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if hasattr(os, "waitstatus_to_exitcode")
        else 255
    )
    return "done" if code == 0 else errno.errorcode.get(code, str(code))


def first(paths):
    for path in paths:
        try:
            with open(path) as file:
                return file.read().split()
        except OSError:
            pass
    return []


with open("/proc/self/status") as file:
    status = dict(line.split(":", 1) for line in file if ":" in line)
with open("/proc/net/dev") as file:
    interfaces = sorted(line.split(":")[0].strip() for line in file if ":" in line)
group = "/sys/fs/cgroup/"
print(
    "openclaw-proof "
    + json.dumps(
        {
            "nonce": nonce,
            "user": "%d:%d" % (os.getuid(), os.getgid()),
            "capabilities": status.get("CapEff", "?").strip(),
            "no_new_privileges": status.get("NoNewPrivs", "?").strip(),
            "seccomp": status.get("Seccomp", "?").strip(),
            "root_write": attempt(lambda: write("/")),
            "etc_write": attempt(lambda: write("/etc")),
            "workdir": os.getcwd(),
            "workspace_write": attempt(lambda: write(".")),
            "agent_write": attempt(lambda: write("/agent"))
            if os.path.isdir("/agent")
            else "absent",
            "interfaces": [name for name in interfaces if name != "lo"],
            "connect": attempt(connect) if "connect" in words else "not tried",
            "sockets": [
                path
                for path in ("/var/run/docker.sock", "/run/docker.sock", *extra)
                if os.path.exists(path)
            ],
            "unshare": leave(),
            # With no address nothing can happen: EFAULT is the kernel's answer, EPERM a filter's.
            "mount": attempt(lambda: call("mount", None, None, None, 0, None)),
            "memory": first([group + "memory.max", group + "memory/memory.limit_in_bytes"]),
            "pids": first([group + "pids.max", group + "pids/pids.max"]),
            "cpu": first([group + "cpu.max"])
            or first([group + "cpu/cpu.cfs_quota_us"]) + first([group + "cpu/cpu.cfs_period_us"]),
            "tools": {
                word[5:]: shutil.which(word[5:]) for word in words if word.startswith("tool:")
            },
        }
    )
)
