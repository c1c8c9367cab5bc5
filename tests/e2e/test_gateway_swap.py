"""The swap on the real engine: what recreates the gateway, what does not, and the way back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e.harness import Deployment, merged, until

pytestmark = pytest.mark.engine

SWAP = "Activation | Start the gateway and wait until it is ready"
BROKEN = """\
FROM {image}
USER root
RUN printf '%s\\n' '#!/bin/sh' \\
  'case $1 in gateway) ;; *) exec node /app/openclaw.mjs "$@" ;; esac' \\
  'echo migrated >/home/node/.openclaw/state/canary; rm -rf /home/node/.openclaw/media' \\
  'echo "cannot migrate; the token is $OPENCLAW_GATEWAY_TOKEN" >&2; exit 78' >/tmp/broken && \\
  rm -f /usr/local/bin/openclaw && install -m 755 /tmp/broken /usr/local/bin/openclaw
USER node
"""


@pytest.fixture
def canary(gateway: Deployment) -> str:
    """A file in the state directory, as a database that an upgrade migrates would be."""
    path = f"/var/lib/{gateway.name}/config/state/canary"
    gateway.sh(f"echo original >{path} && chown {gateway.owner} {path}")
    return path


def running(gateway: Deployment) -> tuple[str, str]:
    state = gateway.container()
    assert state["State"]["Running"]
    return state["Id"], state["State"]["StartedAt"]


def up(gateway: Deployment, **options: Any) -> list[str]:
    """Run `./claw up` and return the operations that changed something."""
    result = gateway.claw("up", "--json", **options)
    (host,) = result.json["hosts"].values()
    return list(host["changed"])


def build(gateway: Deployment, dockerfile: str, tag: str) -> str:
    """Build on top of the gateway's image; the name of the result, which `gateway` takes away."""
    name = f"{gateway.name}-tests:{tag}"
    text = dockerfile.format(image=f"{gateway.name}:local")
    gateway.sh(f"docker build -q -t {name} - <<'END'\n{text}END")
    return name


def retag(gateway: Deployment, source: str) -> None:
    gateway.sh(f"docker tag {source} {gateway.name}:local")


def image(gateway: Deployment, tag: str) -> str:
    return gateway.sh(f"docker image inspect -f '{{{{.Id}}}}' {tag}").strip()


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


def test_a_second_run_leaves_the_container_alone(gateway: Deployment) -> None:
    was = running(gateway)
    assert up(gateway) == []
    assert running(gateway) == was


@pytest.mark.whole
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


@pytest.mark.whole
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


@pytest.mark.whole
def test_a_stopped_gateway_is_started_again(gateway: Deployment) -> None:
    for stop in ("pause", "rm -f"):
        gateway.sh(f"docker {stop} {gateway.container()['Id']}")
        assert up(gateway) == [SWAP]
        assert gateway.http() == 200
        assert up(gateway) == []


def test_a_broken_release_is_rolled_back_with_its_state(gateway: Deployment, canary: str) -> None:
    good = image(gateway, f"{gateway.name}:local")
    broken = build(gateway, BROKEN, "broken")
    retag(gateway, broken)
    was = running(gateway)
    result = gateway.claw("up", expect=1)
    assert 'rehearsal: failed at the step "start"' in result.output
    assert "cannot migrate" in result.output
    assert "the old gateway serves as before" in result.output
    assert gateway.token() not in result.output
    assert running(gateway) == was and gateway.http() == 200
    assert image(gateway, f"{gateway.name}:local") == good
    assert gateway.sh(f"docker volume ls -q --filter name={gateway.name}-rehearsal") == ""

    retag(gateway, broken)
    result = gateway.claw("up", "--no-rehearsal", expect=1)
    assert "cannot migrate; the token is (hidden)" in result.output
    assert "the last good one is running again" in result.output
    assert gateway.token() not in result.output
    assert gateway.http() == 200
    assert gateway.container()["Image"] == good == image(gateway, f"{gateway.name}:local")
    assert gateway.sh(f"cat {canary}") == "original\n"
    assert gateway.sh(f"test -d /var/lib/{gateway.name}/config/media && echo there").strip()
    was = running(gateway)
    assert up(gateway) == []
    assert running(gateway) == was


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


@pytest.mark.whole
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


@pytest.mark.whole
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


@pytest.mark.whole
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


def test_the_gateway_is_not_known_by_what_it_keeps_secret(gateway: Deployment) -> None:
    shown = gateway.container()
    assert gateway.token() not in json.dumps(shown["Config"]["Labels"])
    assert gateway.token() not in gateway.sh(f"cat /opt/{gateway.name}/docker-compose*.yml")
