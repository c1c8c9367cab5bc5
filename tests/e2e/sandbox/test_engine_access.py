"""How a gateway reaches its engine, and what it can do there: everything, or as good as nothing."""

from __future__ import annotations

import shlex

import pytest

from operations import engine_access
from operations.engine import access_problems
from tests.e2e.conftest import MakeDeployment, MakeHost
from tests.e2e.harness import Deployment, until
from tests.e2e.sandbox.conftest import live_turn
from toolkit.settings import Settings

pytestmark = [pytest.mark.engine, pytest.mark.whole]

CANARY = "what only root may read"
ESCAPES = {
    "a bind mount of /": "docker run --rm -u 0 -v /:/host {image} cat /host{canary}",
    "a privileged container": (
        "docker run --rm -u 0 --privileged -v /:/host {image} cat /host{canary}"
    ),
    "chmod on the host's file": (
        "docker run --rm -u 0 --privileged -v /:/host {image} "
        "sh -c 'chmod 644 /host{canary}; cat /host{canary}'"
    ),
    "chroot": "docker run --rm -u 0 --privileged -v /:/host {image} chroot /host cat {canary}",
    "the host's process 1": (
        "docker run --rm -u 0 --privileged --pid host {image} cat /proc/1/root{canary}"
    ),
    "the namespaces of the host's process 1": (
        "docker run --rm -u 0 --privileged --pid host {image} nsenter -t 1 -m cat {canary}"
    ),
    "the host's network": (
        "docker run --rm -u 0 --privileged --network host -v /:/host {image} cat /host{canary}"
    ),
    "the host's shared memory": (
        "docker run --rm -u 0 --privileged --ipc host -v /:/host {image} cat /host{canary}"
    ),
}
DEVICES = """
set -u
devices=$(awk '$1 ~ /^[0-9]+$/ && $4 !~ /^(loop|ram)/ { print $1 ":" $2 }' /proc/partitions)
for device in $devices; do
  docker run --rm -u 0 --privileged IMAGE sh -c "
    mknod /tmp/disk b ${device%:*} ${device#*:} && head -c 512 /tmp/disk | od -An -c | head -n 1"
done
"""


def test_the_gateway_has_a_client_and_the_socket_of_its_engine(sandboxed: Deployment) -> None:
    said = sandboxed.in_gateway(
        "docker version -f '{{.Client.Version}} {{.Server.Version}}'; id -u"
    )
    server = sandboxed.sh("docker version -f '{{.Server.Version}}'").strip()
    assert said.split()[1:] == [server, sandboxed.owner.split(":")[0]]


def test_openclaws_own_command_line_sees_the_sandboxes(sandboxed: Deployment) -> None:
    made = live_turn(sandboxed)["Name"].lstrip("/")
    try:
        said = sandboxed.claw("cli", "--", "sandbox", "list").output
        assert made in said and "running" in said, said
    finally:
        sandboxed.claw("sandboxes", "--recreate", "--all")
    assert sandboxed.sandboxes() == []


def test_every_summary_says_what_the_plain_socket_means(sandboxed: Deployment) -> None:
    said = " ".join(sandboxed.claw("up").output.split())
    assert access_problems.WARNING in said
    assert "Engine socket: sandbox.socket is socket" in said


def test_the_plain_socket_is_root_on_the_host(sandboxed: Deployment) -> None:
    """That the warning is true, and that the ways out tried on a rootless engine are ways out."""
    canary = f"/var/lib/{sandboxed.name}/canary"
    sandboxed.sh(f"umask 077; echo {shlex.quote(CANARY)} >{canary}")
    image = f"{sandboxed.name}-sandbox:bookworm-slim"
    try:
        found = ESCAPES["a bind mount of /"].format(image=image, canary=canary)
        assert sandboxed.in_gateway(found).strip() == CANARY
    finally:
        sandboxed.sh(f"rm -f {canary}")


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def rootless(
    request: pytest.FixtureRequest, lab_host: MakeHost, deployment: MakeDeployment
) -> Deployment:
    """A bare host with a deployment on an engine of its own without root."""
    host = lab_host(request.param, "rootless")
    one = deployment(
        host,
        base_images="bootstrap",
        sandbox={"enabled": True, "socket": "rootless"},
    )
    # A lab host's own root is an overlay, on which there is no other.
    home = engine_access.rootless_home(Settings().name)
    one.sh(
        f"mkdir -p /var/lib/docker/home {home}; "
        f"mountpoint -q {home} || mount --bind /var/lib/docker/home {home}"
    )
    one.first = one.claw("up", "--json")
    return one


def on_its_engine(one: Deployment, command: str, expect: int | None = 0) -> str:
    """Run a shell command on the host where `docker` is the deployment's own engine."""
    socket = engine_access.rootless_socket(Settings().name)
    return one.sh(f"export DOCKER_HOST=unix://{socket}; {command}", expect)


def from_the_gateway(one: Deployment, command: str) -> str:
    """All that a shell command says in the gateway's container."""
    words = shlex.join(["sh", "-c", f"{{ {command}; }} 2>&1"])
    return on_its_engine(one, f"docker exec openclaw-openclaw-gateway-1 {words}", None)


@pytest.mark.long
def test_a_bare_host_gets_a_rootless_engine_with_everything_on_it(rootless: Deployment) -> None:
    assert rootless.first
    checks = rootless.first.json["hosts"][rootless.vps.name]["checks"]
    assert not [check for check in checks if check["outcome"] == "failed"], checks
    assert [check for check in checks if check["name"] == "exec" and check["outcome"] == "ok"]
    assert "rootless" in on_its_engine(rootless, "docker info -f '{{.SecurityOptions}}'")
    assert on_its_engine(rootless, "systemctl is-enabled openclaw-engine").strip() == "enabled"
    with_root = "pgrep -x -u root 'dockerd|containerd'"
    assert rootless.sh(with_root, None) == "", "no engine with root was asked for"
    assert rootless.http() == 200
    said = rootless.claw("up").output
    assert "nothing to change" in said
    assert access_problems.NO_LIMITS in " ".join(said.split()), "a lab host has cgroup v1"


@pytest.mark.long
def test_the_socket_of_a_rootless_engine_leads_to_nothing_of_roots(rootless: Deployment) -> None:
    canary = "/root/canary"
    rootless.sh(f"echo public >/srv/public; umask 077; echo {shlex.quote(CANARY)} >{canary}")
    image = "openclaw-sandbox:bookworm-slim"
    reached = from_the_gateway(
        rootless, ESCAPES["a bind mount of /"].format(image=image, canary="/srv/public")
    )
    assert reached.strip() == "public", "containers do see the host's files"
    for way, command in ESCAPES.items():
        said = from_the_gateway(rootless, command.format(image=image, canary=canary))
        assert CANARY not in said, f"{way}: {said}"
        assert "ermission denied" in said or "not permitted" in said, f"{way}: {said}"
    devices = from_the_gateway(rootless, DEVICES.replace("IMAGE", image).strip())
    assert "mknod" in devices and "not permitted" in devices, devices
    assert rootless.sh(f"stat -c %a {canary}").strip() == "600"


@pytest.mark.long
def test_a_restart_of_the_rootless_engine_brings_the_gateway_back(rootless: Deployment) -> None:
    journal = "journalctl --no-pager -o cat -n 60 -u openclaw-engine >&2"
    rootless.sh(f"systemctl restart openclaw-engine || {{ {journal}; exit 1; }}")
    until(lambda: rootless.http() == 200, 300, "the gateway is ready again")
    version = "docker version -f '{{.Server.Version}}'"
    assert from_the_gateway(rootless, version) == on_its_engine(rootless, version)


@pytest.mark.long
def test_nothing_is_moved_from_one_engine_to_another(rootless: Deployment) -> None:
    refused = rootless.claw("up", settings={"sandbox": {"socket": "socket"}}, expect=1)
    assert "runs on its own rootless engine" in refused.output
    assert "Nothing was changed" in refused.output
    assert rootless.http() == 200
