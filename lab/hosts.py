"""Lab hosts: Debian system containers on the private engine that look like a fresh VPS over SSH."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import seed

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("OPENCLAW_LAB_DATA", "/var/lib/openclaw-lab"))
SOCKET = Path(os.environ.get("OPENCLAW_LAB_RUN", "/run/openclaw-lab")) / "docker.sock"
SSH_DIR = DATA / "ssh"
NETWORK, SUBNET, BRIDGE = "claw-lab", "10.91.0.0/24", "claw-lab0"
PREFIX = "claw-lab-"
SUITES = ("bookworm", "trixie")
# Not --privileged: an outer engine that itself lacks SYS_RESOURCE cannot grant it.
RUN_OPTIONS = [
    *("--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--cgroupns=private"),
    *("--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"),
    *("--security-opt=systempaths=unconfined", "--device-cgroup-rule=a *:* rwm"),
    *("--tmpfs=/run:exec", "--tmpfs=/run/lock"),
    *("--volume=/var/lib/docker", "--volume=/var/lib/containerd"),
]


class LabError(RuntimeError):
    """The laboratory cannot do what was asked; the message says why."""


@dataclass(frozen=True)
class Host:
    name: str
    suite: str
    ip: str

    @property
    def container(self) -> str:
        return PREFIX + self.name


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """What test processes that run side by side must not do at the same time."""
    with (DATA / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def docker(*args: str, stdin: str | None = None, check: bool = True) -> str:
    """Run the docker client against the private engine and return its standard output."""
    env = {**os.environ, "DOCKER_HOST": f"unix://{SOCKET}"}
    done = subprocess.run(["docker", *args], input=stdin, env=env, capture_output=True, text=True)
    if check and done.returncode:
        raise LabError(f"docker {args[0]}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def hosts() -> list[Host]:
    """Every lab host that runs, read from the engine itself."""
    ids = docker("ps", "--quiet", "--filter", "label=lab.host").split()
    if not ids:
        return []
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    name, suite = (f'{{{{index .Config.Labels "lab.{key}"}}}}' for key in ("host", "suite"))
    lines = docker("inspect", "--format", f"{name} {suite} {address}", *ids, check=False)
    words = [line.split() for line in lines.splitlines()]
    return sorted((Host(*three) for three in words if len(three) == 3), key=lambda host: host.name)


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


def build(suite: str) -> str:
    """Build the host image of a Debian release; an engine that has it answers from its cache."""
    if suite not in SUITES:
        raise LabError(f"{suite} is not one of {', '.join(SUITES)}")
    image = f"lab-host:{suite}"
    with one_at_a_time():
        subprocess.run([str(HERE / "engine.sh"), "base", suite], check=True)
        base = f"BASE=lab-base:{suite}"
        docker("build", "--quiet", "--build-arg", base, "--tag", image, str(HERE / "host"))
    return image


def up(name: str, suite: str = "bookworm", owner: int = 0, fleet: str = "") -> Host:
    """Create a host, or find the one of that name; returns when systemd and sshd are ready.

    A host with an owner (a process id) is removed by `sweep` once that process is gone. A host
    keeps its address when it boots again.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise LabError(f"{name!r} is not a host name")
    if name not in [host.name for host in hosts()]:
        image = build(suite)
        docker("rm", "--force", "--volumes", PREFIX + name, check=False)
        _network()
        pairs = {"host": name, "suite": suite, "owner": owner, "fleet": fleet}
        labels = [f"--label=lab.{key}={value}" for key, value in pairs.items()]
        with one_at_a_time():
            docker(
                *("create", "--name", PREFIX + name, "--hostname", name, "--network", NETWORK),
                *(f"--ip={_free_address()}", *labels, *RUN_OPTIONS, image),
            )
        with tempfile.TemporaryDirectory() as directory:
            seed.write(Path(directory), _known_bundle(image), suite, Path(f"{key()}.pub"))
            docker("cp", f"{directory}/.", f"{PREFIX}{name}:/etc/lab")
        docker("start", PREFIX + name)
    wait(name)
    return find(name)


def down(*names: str) -> None:
    """Remove the named hosts, or all of them and their network."""
    everything = ("ps", "--all", "--quiet", "--filter", "label=lab.host")
    gone = [PREFIX + name for name in names] or docker(*everything).split()
    if gone:
        docker("rm", "--force", "--volumes", *gone)
    if not names:
        docker("network", "rm", NETWORK, check=False)
    write_ssh_config()


def sweep() -> None:
    """Remove the hosts whose owner was killed before it could."""
    fields = '{{.Label "lab.host"}} {{.Label "lab.owner"}}'
    owned = docker("ps", "--all", "--filter", "label=lab.owner", "--format", fields)
    for name, owner in (line.split() for line in owned.splitlines()):
        if owner != "0" and not Path("/proc", owner).exists():
            down(name)


def reset(name: str) -> Host:
    """Recreate a host from nothing, on the same Debian release."""
    suite = find(name).suite
    down(name)
    return up(name, suite)


def wait(name: str, seconds: float = 120) -> None:
    """Until systemd has finished booting and sshd accepts our key."""
    container, end = PREFIX + name, time.monotonic() + seconds
    state = ""
    while state not in ("running", "degraded"):
        if time.monotonic() > end:
            logs = docker("logs", "--tail", "20", container, check=False)
            raise LabError(f"{name} is not up after {seconds:.0f} s ({state}): {logs}")
        command = ("exec", container, "systemctl", "is-system-running", "--wait")
        state = docker(*command, check=False).strip() or "no systemd"
        if state == "no systemd":
            time.sleep(0.1)
    if state == "degraded":
        failed = docker("exec", container, "systemctl", "--failed", "--no-legend", "--plain")
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


def key() -> Path:
    """The private key that root, deploy and nosudo accept on every host."""
    path = SSH_DIR / "id_ed25519"
    if not path.exists():
        SSH_DIR.mkdir(parents=True, exist_ok=True)
        SSH_DIR.chmod(0o700)
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)]
        subprocess.run(make, check=True)
    return path


def write_ssh_config() -> None:
    """known_hosts and an OpenSSH client configuration that knows every host by its name."""
    with (
        one_at_a_time()
    ):  # a list that was read before another's host came must not be written after
        keys = []
        config = ["Host *", f"  IdentityFile {key()}", "  IdentitiesOnly yes", "  BatchMode yes"]
        config += [f"  UserKnownHostsFile {SSH_DIR}/known_hosts", "  StrictHostKeyChecking yes", ""]
        for host in hosts():
            command = ("exec", host.container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
            public = docker(*command, check=False).split()
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


def _network() -> None:
    bridge = f"com.docker.network.bridge.name={BRIDGE}"
    create = ("network", "create", "--subnet", SUBNET, "--opt", bridge, NETWORK)
    if docker("network", "ls", "--quiet", "--filter", f"name=^{NETWORK}$").strip():
        return
    docker(*create, check=False)  # another session may be faster; what counts is that it is there
    docker("network", "inspect", NETWORK)


def _free_address() -> str:
    """An address that no host has, above those that the engine gives by itself."""
    ids = docker("ps", "--all", "--quiet", "--filter", "label=lab.host").split()
    fields = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.IPAMConfig}} {{end}}"
    taken = re.findall(r"[\d.]{7,}", docker("inspect", "--format", fields, *ids) if ids else "")
    network = SUBNET.rpartition(".")[0]
    for number in range(101, 250):
        if f"{network}.{number}" not in taken:
            return f"{network}.{number}"
    raise LabError(f"no address is free in {SUBNET}")


def _known_bundle(image: str) -> str:
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    return docker("run", "--rm", "--network=none", image, "cat", bundle)


def shell_command(name: str) -> str:
    """What a person types to look around on a host."""
    return shlex.join(["ssh", "-F", str(SSH_DIR / "config"), "-l", "root", name])
