"""Lab hosts: Debian system containers on the private engine that look like a fresh VPS over SSH."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import disks
from lab.client import (
    DATA,
    SOCKET,
    LabError,
    client,
    container,
    inside,
    labelled,
    named,
    output,
    put,
)
from lab.making import (
    BRIDGE,
    HERE,
    NETWORK,
    PREFIX,
    SSH_DIR,
    SUBNET,
    address,
    build,
    create,
    key,
    log,
    network,
    one_at_a_time,
)
from lab.stand_ins import SUITES

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["BRIDGE", "DATA", "SOCKET", "SUBNET", "SUITES", "LabError", "named", "output", "put"]


@dataclass(frozen=True)
class Host:
    name: str
    suite: str
    ip: str

    @property
    def container(self) -> str:
        return PREFIX + self.name


def hosts() -> list[Host]:
    """Every lab host that runs, read from the engine itself."""
    found = []
    for one in labelled(running=True):
        networks = one.attrs["NetworkSettings"]["Networks"].values()
        address = "".join(network["IPAddress"] for network in networks)
        if address:
            found.append(Host(one.labels["lab.host"], one.labels["lab.suite"], address))
    return sorted(found, key=lambda host: host.name)


def known_hosts(address: str, ways: Iterable[tuple[str, int]], path: Path) -> Path:
    """Write the key of the host at an address under other addresses and ports that lead to it."""
    lines = [line.split() for line in (SSH_DIR / "known_hosts").read_text().splitlines()]
    keys = [" ".join(key) for name, *key in lines if name == address]
    path.write_text("".join(f"[{other}]:{port} {key}\n" for other, port in ways for key in keys))
    return path


def connection(address: str, user: str = "root") -> dict[str, Any]:
    """How pyinfra reaches the host at an address."""
    return {
        "ssh_hostname": address,
        "ssh_user": user,
        "ssh_key": str(key()),
        "ssh_known_hosts_file": str(SSH_DIR / "known_hosts"),
        "ssh_strict_host_key_checking": "yes",
    }


def find(name: str) -> Host:
    for host in hosts():
        if host.name == name:
            return host
    raise LabError(f"no lab host is named {name}")


def up(name: str, suite: str = "bookworm", owner: int = 0, fleet: str = "", like: str = "") -> Host:
    """Create a host, or find the one of that name; returns when systemd and sshd are ready.

    A host with an owner (a process id) is removed by `sweep` once that process is gone. A host
    keeps its address when it boots again. Where it can be done, the engine of one with an owner has
    stored what that of the host `like` has.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise LabError(f"{name!r} is not a host name")
    if name not in [host.name for host in hosts()]:
        image = build(suite)
        log.info("starting the lab host %s", name)
        with suppress(LabError):
            container(PREFIX + name).remove(force=True, v=True)
        network()
        with one_at_a_time():
            labels = {"host": name, "suite": suite, "owner": str(owner), "fleet": fleet}
            create(name, image, labels, address(), like)
        container(PREFIX + name).start()
    wait(name)
    return find(name)


def down(*names: str) -> None:
    """Remove the named hosts, or all of them and their network."""
    gone = [container(PREFIX + name) for name in names] or labelled()
    if gone:
        log.info("removing %s", ", ".join(one.labels.get("lab.host", "") for one in gone))
        with ThreadPoolExecutor(len(gone)) as pool:
            list(pool.map(_remove, gone))
    if not names:
        for one_network in client().networks.list(names=[f"^{NETWORK}$"]):
            one_network.remove()
    write_ssh_config()


def _remove(machine: Container) -> None:
    machine.remove(force=True, v=True)
    disks.remove(machine.labels["lab.host"])


def sweep() -> None:
    """Remove the hosts whose owner was killed before it could."""
    for one in labelled("lab.owner"):
        owner = one.labels["lab.owner"]
        if owner != "0" and not Path("/proc", owner).exists():
            down(one.labels["lab.host"])
    with one_at_a_time():  # who makes a host makes its disk first
        names = [one.labels["lab.host"] for one in labelled()]
        for name in disks.names():
            if name not in names:
                disks.remove(name)


def reset(name: str) -> Host:
    """Recreate a host from nothing, on the same release."""
    suite = find(name).suite
    down(name)
    return up(name, suite)


def wait(name: str, seconds: float = 120) -> None:
    """Until systemd has finished booting and sshd accepts our key."""
    machine, end, state = PREFIX + name, time.monotonic() + seconds, ""
    while state not in ("running", "degraded"):
        if time.monotonic() > end:
            logs = container(machine).logs(tail=20).decode(errors="replace")
            raise LabError(f"{name} is not up after {seconds:.0f} s ({state}): {logs}")
        asked = "systemctl is-system-running --wait"
        state = inside(machine, asked, check=False).strip() or "no systemd"
        if state == "no systemd":
            time.sleep(0.1)
    if state == "degraded":
        failed = inside(machine, "systemctl --failed --no-legend --plain")
        raise LabError(f"{name} booted degraded: {failed}")
    write_ssh_config()
    while ssh(name, "true").returncode:
        if time.monotonic() > end:
            raise LabError(f"{name}: sshd does not accept our key: {ssh(name, 'true').stderr}")
        time.sleep(0.1)


def ssh(
    name: str, command: str, user: str = "root", stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a shell command on a host over OpenSSH, as a person would."""
    argv = ["ssh", "-F", str(SSH_DIR / "config"), "-l", user, name, command]
    return subprocess.run(argv, input=stdin, capture_output=True, text=True)


def checkout(name: str, user: str = "root") -> str:
    """Put this checkout on a host as a clone would; returns its path there."""
    root = HERE.parent
    listed = [
        "git",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
    ]
    paths = subprocess.run(listed, cwd=root, check=True, capture_output=True).stdout.split(b"\0")
    files = b"\0".join(path for path in paths if path and (root / os.fsdecode(path)).is_file())
    tar = ["tar", "--create", "--null", "--files-from=-"]
    archive = subprocess.run(tar, cwd=root, input=files, check=True, capture_output=True).stdout
    unpack = "mkdir -p ~/openclaw-pyinfra && tar -x --no-same-owner -C ~/openclaw-pyinfra && pwd"
    argv = ["ssh", "-F", str(SSH_DIR / "config"), "-l", user, name, unpack]
    home = subprocess.run(argv, input=archive, check=True, capture_output=True).stdout.decode()
    return f"{home.strip()}/openclaw-pyinfra"


def write_ssh_config() -> None:
    """known_hosts and an OpenSSH client configuration that knows every host by its name."""
    with (
        one_at_a_time()
    ):  # a list that was read before another's host came must not be written after
        keys = []
        config = ["Host *", f"  IdentityFile {key()}", "  IdentitiesOnly yes", "  BatchMode yes"]
        config += [f"  UserKnownHostsFile {SSH_DIR}/known_hosts", "  StrictHostKeyChecking yes", ""]
        for host in hosts():
            read = "cat /etc/ssh/ssh_host_ed25519_key.pub"
            public = inside(host.container, read, check=False).split()
            if len(public) >= 2:
                keys.append(f"{host.ip} {public[0]} {public[1]}")
                config += [f"Host {host.name}", f"  HostName {host.ip}", ""]
        for filename, lines in (("known_hosts", keys), ("config", config)):
            part = SSH_DIR / f".{filename}.{os.getpid()}"
            part.write_text("\n".join(lines) + "\n")
            part.replace(SSH_DIR / filename)


def inventory(names: list[str], user: str = "root") -> str:
    """A YAML inventory of the named hosts, or of all of them."""
    chosen = [find(name) for name in names] or hosts()
    lines = ["hosts:"]
    for host in chosen:
        lines += [
            f"  {host.name}:",
            f"    ssh_hostname: {host.ip}",
            f"    ssh_user: {user}",
            f"    ssh_key: {key()}",
            f"    ssh_known_hosts_file: {SSH_DIR}/known_hosts",
        ]
    return "\n".join(lines) + "\n"


def shell_command(name: str) -> str:
    """What a person types to look around on a host."""
    return shlex.join(["ssh", "-F", str(SSH_DIR / "config"), "-l", "root", name])
