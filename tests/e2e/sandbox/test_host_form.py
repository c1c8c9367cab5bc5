"""A gateway that is a service of the host, with its sandboxes on an engine without root."""

from __future__ import annotations

import json
import shlex

import pytest

from lab import hosts as lab
from operations import engine_access
from tests.e2e.conftest import MakeDeployment, MakeHost
from tests.e2e.harness import Deployment, until
from toolkit.settings import Settings

pytestmark = [pytest.mark.engine, pytest.mark.long]

UNIT = "openclaw-gateway"
ENGINE = f"unix://{engine_access.rootless_socket(Settings().name)}"
ODD = "/srv/a b;c %t #d"
"""A directory of the user's whose name means something to systemd."""
# What only root may read, another user's home, and where the gateway must be able to write.
REACH = """
for path in /root/canary /home/deploy/canary /host/root/canary; do
  cat $path 2>/dev/null && echo "read $path"
done
touch /usr/canary /app/canary /etc/canary 2>/dev/null && echo "wrote outside"
touch /var/lib/openclaw/workspace/mine && echo "wrote the workspace"
id -u
"""


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def on_host(
    request: pytest.FixtureRequest, lab_host: MakeHost, deployment: MakeDeployment
) -> Deployment:
    """A bare host with a gateway of its own."""
    one = deployment(
        lab_host(request.param, "host-form"),
        base_images="bootstrap",
        sandbox={"enabled": True, "socket": "host"},
        extra_mounts=[f"{ODD}:/mnt{ODD}:ro"],
    )
    one.sh(f"mkdir -p '{ODD}' && echo odd >'{ODD}/file' && chmod 755 '{ODD}'")
    # A lab host's own root is an overlay, on which there is no other.
    home = engine_access.rootless_home(Settings().name)
    one.sh(
        f"mkdir -p /var/lib/docker/home {home}; "
        f"grep -q {home} /etc/fstab || echo '/var/lib/docker/home {home} none bind' >>/etc/fstab; "
        f"mountpoint -q {home} || mount {home}"
    )
    one.first = one.claw("up", "--json")
    return one


def show(one: Deployment, key: str) -> str:
    return one.sh(f"systemctl show --value -p {key} {UNIT}").strip()


def started(one: Deployment) -> tuple[str, str]:
    return show(one, "MainPID"), show(one, "ActiveEnterTimestampMonotonic")


def test_a_bare_host_gets_a_service_and_an_agents_turn(on_host: Deployment) -> None:
    assert on_host.first
    checks = on_host.first.json["hosts"][on_host.vps.name]["checks"]
    assert not [check for check in checks if check["outcome"] == "failed"], checks
    assert [check for check in checks if check["name"] == "exec" and check["outcome"] == "ok"]
    assert on_host.http() == 200
    assert on_host.sh(f"systemctl is-enabled {UNIT}").strip() == "enabled"
    containers = f"DOCKER_HOST={ENGINE} docker ps --all --quiet"
    assert on_host.sh(containers) == "", "nothing but sandboxes is on the engine"
    assert on_host.sh("pgrep -x -u root 'dockerd|containerd'", None) == ""


def test_a_second_run_changes_nothing(on_host: Deployment) -> None:
    before = started(on_host)
    assert on_host.claw("up", "--dry").returncode == 0
    assert "nothing to change" in on_host.claw("up").output
    assert started(on_host) == before


def test_verify_passes(on_host: Deployment) -> None:
    result = on_host.claw("verify", "--json")
    checks = result.json["hosts"][on_host.vps.name]["checks"]
    assert {check["outcome"] for check in checks} == {"ok"}, checks
    assert {"closed", "token", "audit", "hardening", "exec"} <= {check["name"] for check in checks}


def test_the_gateways_user_reaches_nothing_of_others(on_host: Deployment) -> None:
    on_host.sh(
        "umask 077; echo secret >/root/canary; mkdir -p /home/deploy; "
        "echo secret >/home/deploy/canary; chmod 644 /home/deploy/canary"
    )
    said = on_host.sh(f"sh /opt/openclaw/exec.sh sh -c {shlex.quote(REACH)}").split("\n")
    uid = on_host.sh(f"id -u {UNIT}").strip()
    assert said == ["wrote the workspace", uid, ""]
    root = "docker run --rm -u 0 --privileged -v /:/host openclaw-sandbox:bookworm-slim"
    by_engine = f"DOCKER_HOST={ENGINE} {root} cat /host/root/canary 2>&1"
    assert "ermission denied" in on_host.sh(by_engine, 1)


def test_a_mount_with_an_odd_name_is_one_mount(on_host: Deployment) -> None:
    path = f"/mnt{ODD}/file"
    inside = f"/proc/{show(on_host, 'MainPID')}/root{path}"
    assert on_host.sh(f"cat {shlex.quote(inside)}") == "odd\n", "the service"
    command = f"sh /opt/openclaw/exec.sh cat {shlex.quote(path)}"
    assert on_host.sh(command) == "odd\n", "what runs beside it"


def test_the_verbs_work(on_host: Deployment) -> None:
    status = json.loads(on_host.claw("status", "--json").stdout)["hosts"][on_host.vps.name]
    assert status["state"] == "running" and status["ready"] is True
    assert status["ports"] == ["127.0.0.1:18789->18789/tcp"]
    assert status["openclaw"]
    assert "[gateway]" in on_host.claw("logs", "--tail", "500").output
    assert on_host.claw("token").stdout.strip() == on_host.token()
    listed = on_host.claw("cli", "--", "sandbox", "list", "--json").stdout
    assert "containers" in json.loads(listed)
    assert on_host.claw("cli", "--", "no-such-command", expect=None).returncode != 0
    assert "nothing found" in on_host.claw("doctor").output
    assert on_host.claw("sandboxes").returncode == 0


def test_settings_that_break_the_gateway_are_rolled_back(on_host: Deployment) -> None:
    broken = {"gateway": {"environment": {"NODE_OPTIONS": "--no-such-option"}}}
    said = on_host.claw("up", settings=broken, expect=1).output
    assert "the last good one is running again" in said
    assert "--no-such-option" in said, "the log says why"
    assert on_host.http() == 200
    assert "no-such-option" not in on_host.sh(f"systemctl cat {UNIT}")


def test_a_broken_release_is_rolled_back_with_its_state(on_host: Deployment) -> None:
    canary = "/var/lib/openclaw/config/state/canary"
    on_host.sh(f"echo original >{canary} && chown --reference=/var/lib/openclaw/config {canary}")
    program = '#!/bin/sh\\necho migrated >"$OPENCLAW_STATE_DIR/state/canary"; exit 78\\n'
    dockerfile = (
        "FROM openclaw:local\nUSER root\n"
        f"RUN rm /usr/local/bin/openclaw && printf '{program}' >/usr/local/bin/openclaw && "
        "chmod 755 /usr/local/bin/openclaw\nUSER node\n"
    )
    good = show(on_host, "RootDirectory")
    docker = f"DOCKER_HOST={ENGINE} docker"
    on_host.sh(f"{docker} build -q -t broken - <<'END'\n{dockerfile}END\n")
    activate = f"{docker} tag broken openclaw:local && sh /opt/openclaw/run/activate.sh"
    before = started(on_host)
    said = on_host.sh(f"{activate} activate", 1)
    assert "rehearsal: failed at the step" in said and "Nothing was stopped" in said
    assert started(on_host) == before and on_host.http() == 200
    said = on_host.sh(f"{activate} unrehearsed", 1)
    assert "the last good one is running again" in said
    assert on_host.http() == 200
    assert show(on_host, "RootDirectory") == good
    assert on_host.sh(f"cat {canary}").strip() == "original"
    assert "nothing to change" in on_host.claw("up").output


def test_a_swap_that_was_killed_is_finished(on_host: Deployment) -> None:
    before = started(on_host)
    changed = {"time_zone": "Europe/Berlin"}
    run = on_host.start("up", settings=changed)
    marker = "cat /opt/openclaw/candidate/phase 2>/dev/null"
    until(lambda: on_host.sh(marker, None).strip() == "swapped", 300, "the swap")
    on_host.sh("pkill -KILL -f '/opt/openclaw/run/activate.s[h]'", None)
    run.finish()
    on_host.claw("up", settings=changed)
    assert on_host.http() == 200 and started(on_host) != before
    assert "Europe/Berlin" in on_host.sh(f"systemctl cat {UNIT}")
    assert "nothing to change" in on_host.claw("up", settings=changed).output
    on_host.claw("up")


def test_a_gateway_that_died_and_one_that_was_stopped_come_back(on_host: Deployment) -> None:
    pid = show(on_host, "MainPID")
    on_host.sh(f"kill -KILL {pid}")
    until(lambda: show(on_host, "MainPID") not in (pid, "0"), 180, "another process")
    until(lambda: on_host.http() == 200, 300, "the gateway is ready again")
    on_host.sh(f"systemctl stop {UNIT}")
    assert "Start the gateway" in on_host.claw("up").output
    assert on_host.http() == 200


def test_a_restart_of_its_engine_and_of_the_host_bring_it_back(on_host: Deployment) -> None:
    on_host.sh("systemctl restart openclaw-engine")
    until(lambda: on_host.http() == 200, 300, "the gateway is ready again")
    on_host.sh("sh /opt/openclaw/exec.sh docker version -f '{{.Server.Version}}'")
    lab.container(on_host.vps.container).restart()
    lab.wait(on_host.vps.name)
    until(lambda: on_host.http() == 200, 300, "the gateway is ready after a boot")
    assert "nothing to change" in on_host.claw("up").output


def test_nothing_is_moved_to_another_form(on_host: Deployment) -> None:
    for form in ("auto", "rootless", "socket"):
        refused = on_host.claw("up", settings={"sandbox": {"socket": form}}, expect=1).output
        assert "the gateway is a service of the host" in " ".join(refused.split())
        assert "Nothing was changed" in refused
    assert on_host.http() == 200
