"""How a lab host is made: its image, its container, and what both need on this machine."""

from __future__ import annotations

import fcntl
import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from lab import disks, seed
from lab.client import DATA, LabError, client, labelled, output, put, sdk
from lab.stand_ins import STAND_INS, SUITES, debian, title

log = logging.getLogger("lab")
HERE = Path(__file__).resolve().parent
SSH_DIR = DATA / "ssh"
NETWORK, SUBNET, BRIDGE = "claw-lab", "10.91.0.0/24", "claw-lab0"
PREFIX = "claw-lab-"
# Not privileged: an outer engine that itself lacks SYS_RESOURCE cannot grant it.
RIGHTS: dict[str, Any] = {
    "cap_add": ["ALL"],
    "cap_drop": ["SYS_RESOURCE"],
    "cgroupns": "private",
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
    "device_cgroup_rules": ["a *:* rwm"],
    "tmpfs": {"/run": "exec", "/run/lock": ""},
}


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """What test processes that run side by side must not do at the same time."""
    with (DATA / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(suite: str) -> str:
    """Build the host image of a release; an engine that has it answers from its cache."""
    if suite not in SUITES:
        raise LabError(f"{suite} is not one of {', '.join(SUITES)}")
    below = debian(suite)
    with one_at_a_time():
        log.info("making the image of lab hosts with %s", title(suite))
        subprocess.run([str(HERE / "engine.sh"), "base", below], check=True)
        image = _built("host", below, BASE=f"lab-base:{below}")
        if suite in STAND_INS:
            number = STAND_INS[suite].number
            image = _built("ubuntu", suite, HOST=image, CODENAME=suite, NUMBER=number)
    return image


def _built(directory: str, suite: str, **arguments: str) -> str:
    image = f"lab-host:{suite}"
    try:
        client().images.build(path=str(HERE / directory), buildargs=arguments, tag=image, rm=True)
    except sdk().errors.BuildError as error:
        said = "".join(line.get("stream", "") for line in error.build_log)
        raise LabError(f"{image}: {error.msg}: {said[-2000:]}") from error
    return image


def create(
    name: str,
    image: str,
    labels: dict[str, str],
    own: str | None = None,
    like: str = "",
    **more: Any,
) -> None:
    """Make a host that does not run yet, with what it takes from this machine.

    `labels` come after `lab.`; `own` is an address; `like` is of `disks.make`; `more` is for the
    SDK's `create_container`, but `init`.
    """
    api = client().api
    disk = disks.make(name, like) if labels["owner"] != "0" else None
    limits = api.create_host_config(
        network_mode=NETWORK, binds=disk, init=more.pop("init", False), **RIGHTS
    )
    limits |= {"MaskedPaths": [], "ReadonlyPaths": []}
    api.create_container(
        image,
        name=PREFIX + name,
        hostname=name,
        labels={f"lab.{key}": value for key, value in labels.items()},
        volumes=["/var/lib/docker", "/var/lib/containerd"],
        host_config=limits,
        networking_config=api.create_networking_config(
            {  # type: ignore[arg-type]
                NETWORK: api.create_endpoint_config(ipv4_address=own)
            }
        ),
        **more,
    )
    put(PREFIX + name, _given(image, labels["suite"]), "/etc/lab")


@cache
def _given(image: str, suite: str) -> dict[str, str]:
    """What a host takes from this machine: to find it out takes a second."""
    bundle = output(image, ["cat", "/etc/ssl/certs/ca-certificates.crt"], network_mode="none")
    return seed.files(bundle, debian(suite), Path(f"{key()}.pub"))


def key() -> Path:
    """The private key that root, deploy and nosudo accept on every host."""
    path = SSH_DIR / "id_ed25519"
    if not path.exists():
        SSH_DIR.mkdir(parents=True, exist_ok=True)
        SSH_DIR.chmod(0o700)
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)]
        subprocess.run(make, check=True)
    return path


def network() -> None:
    if client().networks.list(names=[f"^{NETWORK}$"]):
        return
    types = sdk().types
    try:
        client().networks.create(
            NETWORK,
            ipam=types.IPAMConfig(pool_configs=[types.IPAMPool(subnet=SUBNET)]),
            options={"com.docker.network.bridge.name": BRIDGE},
        )
    except sdk().errors.APIError:  # another session may be faster; what counts is that it is there
        client().networks.get(NETWORK)


def address() -> str:
    """An address that no host has, above those that the engine gives by itself."""
    taken = set()
    for one in labelled():
        for network in one.attrs["NetworkSettings"]["Networks"].values():
            taken |= {network["IPAddress"], (network["IPAMConfig"] or {}).get("IPv4Address")}
    network = SUBNET.rpartition(".")[0]
    for number in range(101, 250):
        if f"{network}.{number}" not in taken:
            return f"{network}.{number}"
    raise LabError(f"no address is free in {SUBNET}")
