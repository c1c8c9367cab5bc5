"""Fixtures of the end-to-end tests; the dear ones are made once and shared by many scenarios."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from tests.e2e.reached import Reached, around

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


@pytest.fixture
def chromium() -> Iterator[Callable[..., Browser]]:
    """`chromium(*arguments, home=None)`: as `browser`, which is to be closed; `home` is where it
    looks for authorities that it is to trust.
    """
    # Of one test alone: while Playwright runs, whoever waits for a process waits with a busy core.
    with chromiums() as launch:
        yield launch


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless, installed where that may be done."""
    with chromiums() as launch, launch() as launched:
        yield launched


@contextmanager
def chromiums() -> Iterator[Callable[..., Browser]]:
    installed("chromium", "chromium", "fonts-dejavu-core")
    with sync_playwright() as playwright:

        def launch(*arguments: str, home: Path | None = None) -> Browser:
            env: dict[str, Any] | None = {**os.environ, "HOME": str(home)} if home else None
            return playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=[*QUIET, *arguments], env=env
            )

        yield launch


@pytest.fixture
def authority_in(tmp_path: Path) -> Callable[[Path], Path]:
    """`authority_in(root)`: a home for `chromium` that trusts the authority of that certificate."""
    installed("certutil", "libnss3-tools")

    def trust(root: Path) -> Path:
        database = tmp_path / ".pki" / "nssdb"
        database.mkdir(parents=True)
        certutil = ["certutil", "-d", f"sql:{database}"]
        subprocess.run([*certutil, "-N", "--empty-password"], check=True)
        subprocess.run(
            [*certutil, "-A", "-n", "laboratory", "-t", "C,,", "-i", str(root)], check=True
        )
        return tmp_path

    return trust


@pytest.fixture(scope="session")
def reached(
    lab_host: MakeHost, deployment: MakeDeployment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reached]:
    """A deployment, a neighbour and who serves it, for the tests of `exposure`: each of them says
    by `reached.exposed` which profile it wants.
    """
    seen, neighbour, other = (lab_host(label=f"reached{it}") for it in ("", "-beside", "-other"))
    root = tmp_path_factory.mktemp("authority") / "root.pem"
    one = deployment(seen, gateway={"ready_timeout": 900})
    with around(one, neighbour, other, root) as made:
        yield made


def installed(command: str, *packages: str) -> None:
    """Have Debian's packages on this machine, for a command that is not there."""
    if shutil.which(command):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        pytest.skip(f"no {command}, and it cannot be installed without root and apt-get")
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    install = [*apt, "install", "-y", "--no-install-recommends", *packages]
    if subprocess.run(install, stdout=subprocess.DEVNULL).returncode:
        subprocess.run([*apt, "update"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)


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
