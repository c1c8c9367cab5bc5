"""The swap on the real engine: what recreates the gateway, and one that was cut.

A release that breaks is in sandbox/test_release.py.
"""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from lab import hosts as lab
from tests.e2e.harness import Deployment, merged, until
from tests.e2e.swapping import BROKEN, build, image, plant, retag, running, up

pytestmark = [pytest.mark.engine, pytest.mark.whole]

SWAP = "Activation | Start the gateway and wait until it is ready"


@pytest.fixture
def canary(gateway: Deployment) -> str:
    return plant(gateway)


def start_activation(gateway: Deployment) -> subprocess.Popen[str]:
    env = {**os.environ, "DOCKER_HOST": f"unix://{lab.SOCKET}"}
    script = f"/opt/{gateway.name}/run/activate.sh"
    return subprocess.Popen(
        ["sh", script, "unrehearsed"], env=env, stdout=subprocess.PIPE, text=True
    )


def cut(gateway: Deployment, phase: str) -> None:
    """Start a swap and kill all of it as soon as it is in a phase."""
    swap = start_activation(gateway)
    marker = f"cat /opt/{gateway.name}/candidate/phase 2>/dev/null"
    until(lambda: gateway.sh(marker, None).strip() == phase, 300, f"the phase {phase}")
    # In one look: a subshell of the script has its arguments too, and may be gone a moment later.
    listed = "ps -eo pid=,pgid=,args= | grep '/opt/{0}/run/activate.s[h] unrehearsed detached'"
    found = [line.split() for line in gateway.sh(listed.format(gateway.name), None).splitlines()]
    leaders = [int(pid) for pid, group, *_ in found if pid == group]
    assert leaders, "the swap has a session of its own"
    for leader in leaders:
        os.killpg(leader, signal.SIGKILL)
    swap.communicate(timeout=180)


def test_a_changed_credential_reaches_the_gateway(gateway: Deployment) -> None:
    env_file = f"/opt/{gateway.name}/.env"
    token = gateway.token()
    gateway.sh(f"printf '# my own\\nMY_OWN=1\\n' >>{env_file}")
    for value in ("first $value 'x'", "second \\ value"):
        settings = {"credentials": {"SOME_API_KEY": {"env": "THE_KEY"}}}
        was = running(gateway)
        changed = up(gateway, settings=settings, env={"THE_KEY": value})
        assert len([one for one in changed if not one.startswith("Record")]) == 3
        assert running(gateway) != was
        assert gateway.in_gateway('printf %s "$SOME_API_KEY"') == value
        was = running(gateway)
        assert up(gateway, settings=settings, env={"THE_KEY": value}) == []
        assert running(gateway) == was
    assert gateway.in_gateway("echo $MY_OWN").strip() == "1"
    assert "# my own\nMY_OWN=1\n" in gateway.sh(f"cat {env_file}")
    assert gateway.token() == token
    assert gateway.sh(f"stat -c '%a %u' {env_file}").split() == ["600", "0"]


def test_mounts_and_a_home_volume_alone_and_combined(gateway: Deployment, tmp_path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "there").write_text("from the host\n")
    mount = {"extra_mounts": [f"{data}:/data:ro"]}
    home = {"home_volume": f"{gateway.name}-home"}
    extra = f"/opt/{gateway.name}/docker-compose.extra.yml"

    up(gateway, settings=mount)
    assert gateway.in_gateway("cat /data/there") == "from the host\n"
    assert gateway.in_gateway("touch /data/x 2>&1 || echo refused").strip().endswith("refused")
    assert "Generated" in gateway.sh(f"cat {extra}")
    in_cli = f"cd /opt/{gateway.name} && docker compose run -T --rm --entrypoint cat openclaw-cli"
    assert gateway.sh(f"{in_cli} /data/there </dev/null") == "from the host\n"

    up(gateway, settings=merged(mount, home))
    gateway.in_gateway("echo kept >/home/node/mine && echo state >/home/node/.openclaw/mine")
    assert gateway.in_gateway("cat /data/there") == "from the host\n"

    up(gateway, settings=home)
    assert gateway.in_gateway("cat /home/node/mine") == "kept\n"
    assert gateway.in_gateway("test ! -e /data && echo gone").strip() == "gone"
    # The state mount still wins: what is written there is on the host, not in the volume.
    assert gateway.sh(f"cat /var/lib/{gateway.name}/config/mine") == "state\n"
    plain = f"cd /opt/{gateway.name} && docker compose up -d 2>&1"
    was = running(gateway)
    gateway.sh(plain)
    assert running(gateway) == was, "plain `docker compose up -d` is the same as ours"

    up(gateway)
    assert gateway.sh(f"test ! -e {extra} && echo gone").strip() == "gone"
    assert "COMPOSE_FILE" not in gateway.sh(f"cat /opt/{gateway.name}/.env")
    volume = f"docker run --rm -v {gateway.name}-home:/v --entrypoint cat {gateway.name}:local"
    assert gateway.sh(f"{volume} /v/mine") == "kept\n", "a volume outlives its setting"


@pytest.mark.long
def test_the_users_override_is_respected(gateway: Deployment) -> None:
    path = f"/opt/{gateway.name}/docker-compose.override.yml"
    gateway.sh(
        f"printf 'services: {{openclaw-gateway: {{environment: {{OWN: \"7\"}}}}}}\\n' >{path}"
    )
    assert up(gateway) != []
    assert gateway.in_gateway("echo $OWN").strip() == "7"
    assert up(gateway) == []
    gateway.sh(f"rm {path}")
    assert up(gateway) != []
    assert gateway.in_gateway("echo $OWN").strip() == ""


def test_a_stopped_gateway_is_started_again(gateway: Deployment) -> None:
    for stop in ("pause", "rm -f"):
        gateway.sh(f"docker {stop} {gateway.container()['Id']}")
        assert up(gateway) == [SWAP]
        assert gateway.http() == 200
        assert up(gateway) == []


@pytest.mark.long
def test_settings_that_break_the_gateway_are_rolled_back(gateway: Deployment) -> None:
    was = gateway.sh(f"cat /opt/{gateway.name}/docker-compose.yml")
    broken = {"gateway": {"environment": {"NODE_OPTIONS": "--no-such-option"}}}
    result = gateway.claw("up", settings=broken, expect=1)
    assert "the last good one is running again" in result.output
    assert gateway.http() == 200
    assert gateway.sh(f"cat /opt/{gateway.name}/docker-compose.yml") == was
    failed = gateway.sh(f"cat /opt/{gateway.name}/failed/docker-compose.yml")
    assert "--no-such-option" in failed
    assert up(gateway) == []


@pytest.mark.long
def test_a_first_gateway_that_fails_is_stopped_and_shown(local_deployment) -> None:
    """There is nothing to go back to; a mended setting then brings it up."""
    one = local_deployment(onboarding={"enabled": False}, gateway={"ready_timeout": 600})
    broken = {"gateway": {"environment": {"NODE_OPTIONS": "--no-such-option"}}}
    result = one.claw("up", settings=broken, expect=1)
    assert "--no-such-option is not allowed" in result.output
    assert "no earlier one to go back to" in result.output
    assert one.container()["State"]["Status"] == "exited"
    assert SWAP in up(one)
    assert one.http() == 200
    assert up(one) == []


@pytest.mark.parametrize("phase", ["stopping", "swapped"])
def test_a_swap_that_was_cut_is_finished(phase: str, gateway: Deployment, canary: str) -> None:
    wanted = build(gateway, f"FROM {{image}}\nLABEL clawtest={phase}\n", "next")
    retag(gateway, wanted)
    cut(gateway, phase)
    if phase == "swapped":  # as Compose leaves it when it is killed while it recreates
        half = f"0123456789ab_{gateway.container()['Name'].lstrip('/')}"
        labels = {
            "project": gateway.name,
            "project.working_dir": f"/opt/{gateway.name}",
            "service": "openclaw-gateway",
            "oneoff": "False",
        }
        given = [f"--label com.docker.compose.{key}={value}" for key, value in labels.items()]
        given.append("--label openclaw-pyinfra.project=before")
        gateway.sh(f"docker create --name {half} {' '.join(given)} {gateway.name}:local")
    assert SWAP in up(gateway)
    assert gateway.http() == 200
    assert gateway.container()["Image"] == image(gateway, wanted)
    own = f"--filter label=com.docker.compose.project={gateway.name}"
    names = gateway.sh(f"docker ps -a --format '{{{{.Names}}}}' {own}").split()
    assert names == [f"{gateway.name}-openclaw-gateway-1"]
    assert gateway.sh(f"cat {canary}") == "original\n"
    assert up(gateway) == []


def test_a_way_back_that_was_cut_is_finished(gateway: Deployment, canary: str) -> None:
    """Before anything else: openclaw.json may be missing in the middle of it."""
    good = image(gateway, f"{gateway.name}:local")
    openclaw = f"/var/lib/{gateway.name}/config/openclaw.json"
    config = gateway.sh(f"cat {openclaw}")
    retag(gateway, build(gateway, BROKEN, "broken-again"))
    cut(gateway, "going-back")
    gateway.sh(f"rm -f {openclaw}")
    assert up(gateway) == ["Recovery | Finish an interrupted swap"]
    assert gateway.http() == 200
    assert gateway.container()["Image"] == good
    assert gateway.sh(f"cat {openclaw}") == config
    assert gateway.sh(f"cat {canary}") == "original\n"
    assert up(gateway) == []


def test_a_killed_run_does_not_stop_the_swap(gateway: Deployment) -> None:
    """The script on the host finishes by itself, and the next run has nothing to do."""
    settings = {"time_zone": "Europe/Berlin"}
    run = gateway.start("up", settings=settings)
    marker = f"cat /opt/{gateway.name}/candidate/phase 2>/dev/null"
    until(lambda: gateway.sh(marker, None).strip() == "swapped", 300, "the swap")
    run.kill()
    last = f"tail -n 1 /opt/{gateway.name}/run/activate.log"
    until(lambda: gateway.sh(last).strip() == "the gateway is ready", 600, "the end of the swap")
    assert gateway.http() == 200
    was = running(gateway)
    assert SWAP not in up(gateway, settings=settings)
    assert running(gateway) == was
    assert up(gateway, settings=settings) == []
    up(gateway)
