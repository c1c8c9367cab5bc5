"""Fixtures of the end-to-end tests; the dear ones are made once and shared by many scenarios."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from lab import hosts as lab
from lab.engine import Engine
from lab.making import one_at_a_time
from tests.e2e.fleet_job import Fleet, local, remote
from tests.e2e.harness import Deployment, claw, free_port, merged

MakeHost = Callable[..., lab.Host]
MakeDeployment = Callable[..., Deployment]
# Chromium's own background traffic has nowhere to go on a closed network.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def lab_host(engine: Engine, request: pytest.FixtureRequest) -> Iterator[MakeHost]:
    """`lab_host(suite="bookworm", label=None)`: a bare host; a label names it for reuse.

    With `--ubuntu` it is a stand-in of that Ubuntu, whatever suite is asked for.
    """
    keep, ubuntu = (request.config.getoption(name) for name in ("--keep-lab", "--ubuntu"))
    made: dict[tuple[str, str], lab.Host] = {}
    if not keep:
        lab.sweep()

    def make(suite: str = "bookworm", label: str | None = None) -> lab.Host:
        suite, label = ubuntu or suite, label or secrets.token_hex(3)
        if (suite, label) not in made:
            name = f"{suite}-{label}" + ("" if keep else f"-{os.getpid()}")
            made[suite, label] = lab.up(name, suite, owner=0 if keep else os.getpid())
        return made[suite, label]

    yield make
    if made and not keep:
        lab.down(*(host.name for host in made.values()))


@pytest.fixture
def fresh_host(engine: Engine, request: pytest.FixtureRequest) -> Iterator[MakeHost]:
    """`fresh_host(suite="bookworm", like="")`: a bare host of this test alone, gone when it ends.

    Its engine, once there is one, has the images that the host of the name `like` has. `--ubuntu`
    is as for `lab_host`.
    """
    made: list[lab.Host] = []
    ubuntu = request.config.getoption("--ubuntu")

    def make(suite: str = "bookworm", like: str = "") -> lab.Host:
        name = f"fresh-{secrets.token_hex(3)}-{os.getpid()}"
        made.append(lab.up(name, ubuntu or suite, owner=os.getpid(), like=like))
        return made[-1]

    yield make
    if made:
        lab.down(*(host.name for host in made))


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> MakeDeployment:
    """`deployment(host, user="root", **settings)`: a handle; nothing is deployed yet."""

    def make(host: lab.Host | None, user: str = "root", **settings: Any) -> Deployment:
        directory: Path = tmp_path_factory.mktemp("inventory")
        return Deployment(host, directory / "inventory.py", user, settings)

    return make


@pytest.fixture
def local_deployment(engine: Engine, deployment: MakeDeployment) -> Iterator[MakeDeployment]:
    """`local_deployment(**settings)`: on this machine, with its own name and port."""
    made: list[Deployment] = []

    def make(**settings: Any) -> Deployment:
        made.append(on_this_machine(deployment, settings))
        return made[-1]

    yield make
    for one in made:
        one.remove()


@pytest.fixture
def ssh_home(tmp_path: Path) -> dict[str, str]:
    """`env=` for `run_claw("up", "root@ADDRESS")`: a home whose ~/.ssh knows every lab host.

    OpenSSH's own client takes the home from the user database instead; it has `-F`.
    """
    (tmp_path / ".ssh").symlink_to(lab.SSH_DIR)
    return {"HOME": str(tmp_path)}


@pytest.fixture
def newcomer(fresh_host: MakeHost) -> Callable[..., Callable[..., Any]]:
    """`newcomer(suite="bookworm", user="root", like="")`: a bare host and a clone of this checkout.

    Returns `shell(command)`, which runs there, in the clone, as that user over SSH; `like` is of
    `fresh_host`.
    """

    def make(suite: str = "bookworm", user: str = "root", like: str = "") -> Callable[..., Any]:
        host = fresh_host(suite, like)
        path = lab.checkout(host.name, user)
        return lambda command: lab.ssh(host.name, f"cd {path} && {command}", user)

    return make


@pytest.fixture(scope="session")
def deployed(lab_host: MakeHost, deployment: MakeDeployment) -> Deployment:
    """Debian 12 over SSH as root, deployed from bare by `./claw up`; leave it as it was."""
    return brought_up(deployment(lab_host("bookworm", "deployed")))


@pytest.fixture(scope="session")
def deployed_trixie(lab_host: MakeHost, deployment: MakeDeployment) -> Deployment:
    """Debian 13 over SSH as a user with sudo, likewise."""
    return brought_up(deployment(lab_host("trixie", "deployed"), user="deploy"))


@pytest.fixture(scope="session")
def gateway(engine: Engine, deployment: MakeDeployment) -> Iterator[Deployment]:
    """This machine and the private engine, for tests that change the gateway and change it back."""
    local = on_this_machine(deployment, {"gateway": {"ready_timeout": 600}})
    local.claw("up")
    yield local
    local.remove()
    for image in lab.client().images.list(f"{local.name}-tests"):
        lab.client().images.remove(str(image.id), force=True)
    for volume in lab.client().volumes.list(filters={"name": f"{local.name}-home"}):
        volume.remove(force=True)


@pytest.fixture(scope="module")
def fleet(
    deployed: Deployment,
    deployed_trixie: Deployment,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    """Debian 12 as root, Debian 13 as a user with sudo, and this machine; images only."""
    machines = [remote(deployed.vps, "root"), remote(deployed_trixie.vps, "deploy"), local()]
    made = Fleet(
        tmp_path_factory.mktemp("fleet"), f"clawtest-shared-{secrets.token_hex(3)}", machines
    )
    yield made
    made.remove()


@pytest.fixture
def run_claw() -> Callable[..., Any]:
    """`run_claw(*args, expect=0, env=None, stdin=None, timeout=2400)`: without a deployment."""
    return claw


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless, installed where that may be done."""
    if not shutil.which("chromium"):
        if os.geteuid() or not shutil.which("apt-get"):
            pytest.skip("no Chromium, and it cannot be installed without root and apt-get")
        apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
        install = [
            *apt,
            "install",
            "-y",
            "--no-install-recommends",
            "chromium",
            "fonts-dejavu-core",
        ]
        if subprocess.run(install, stdout=subprocess.DEVNULL).returncode:
            subprocess.run([*apt, "update"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        yield chromium
        chromium.close()


def on_this_machine(make: MakeDeployment, settings: dict[str, Any]) -> Deployment:
    """A deployment on the private engine, with a name and a port of its own."""
    swept()
    own = {
        "name": f"clawtest-{os.getpid()}-{secrets.token_hex(2)}",
        "engine": {"source": "existing", "socket": str(lab.SOCKET)},
        "gateway": {"port": free_port()},
    }
    return make(None, **merged(own, settings))


@cache
def swept() -> None:
    """Remove what tests left here that were killed: its gateways start whenever the engine does."""
    label = "com.docker.compose.project"
    with one_at_a_time():
        listed = lab.client().containers.list(
            all=True, filters={"label": label}, ignore_removed=True
        )
        for name in {one.labels[label] for one in listed}:
            owner = re.fullmatch(r"clawtest-([0-9]+)-[0-9a-f]{4}", name)
            if owner and not Path("/proc", owner[1]).exists():
                Deployment(None, Path(), settings={"name": name}).remove()


def brought_up(one: Deployment) -> Deployment:
    one.kept = bool(one.sh(f"test ! -e /opt/{one.name} || echo there"))
    one.first = one.claw("up", "--json")
    return one
