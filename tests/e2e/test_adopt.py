"""OpenClaw as others set it up, of the real release, is taken over and given back: its own Docker
set-up, a host installation with a user's unit, and a state under its old name; one host for all."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from operations.base import templates
from tests.e2e.conftest import MakeDeployment, MakeHost
from tests.e2e.harness import Deployment, until
from tests.e2e.sandbox.conftest import _MODEL, MODEL_PORT, SCRIPTED

pytestmark = [pytest.mark.engine, pytest.mark.long]
TOKEN = "5f4dcc3b5aa765d61d8327deb882cf995f4dcc3b5aa765d61d8327deb882cf99"
RELEASE = "2026.9.6"
# As OpenClaw's docker-compose.yml has it.
COMPOSE = """
services:
  openclaw-gateway:
    image: ${OPENCLAW_IMAGE:-openclaw:local}
    environment: &environment
      HOME: /home/node
      TERM: xterm-256color
      OPENCLAW_GATEWAY_TOKEN: ${OPENCLAW_GATEWAY_TOKEN:-}
      TZ: ${OPENCLAW_TZ:-UTC}
    volumes: &volumes
      - ${OPENCLAW_CONFIG_DIR}:/home/node/.openclaw
      - ${OPENCLAW_WORKSPACE_DIR}:/home/node/.openclaw/workspace
      - ${OPENCLAW_AUTH_PROFILE_SECRET_DIR}:/home/node/.config/openclaw
    ports: ["${OPENCLAW_GATEWAY_PORT:-18789}:18789", "${OPENCLAW_BRIDGE_PORT:-18790}:18790"]
    init: true
    restart: unless-stopped
    command: [node, dist/index.js, gateway, --bind, lan, --port, "18789"]
  openclaw-cli:
    image: ${OPENCLAW_IMAGE:-openclaw:local}
    profiles: [cli]
    network_mode: service:openclaw-gateway
    environment: *environment
    volumes: *volumes
    entrypoint: [node, dist/index.js]
"""
ENV = f"""OPENCLAW_CONFIG_DIR=/home/deploy/.openclaw
OPENCLAW_WORKSPACE_DIR=/home/deploy/.openclaw/workspace
OPENCLAW_AUTH_PROFILE_SECRET_DIR=/home/deploy/.config/openclaw
OPENCLAW_GATEWAY_TOKEN={TOKEN}
OPENCLAW_IMAGE=openclaw:local
"""
ONBOARD = (
    "onboard --non-interactive --accept-risk --skip-health --mode local --auth-choice skip"
    " --secret-input-mode ref --gateway-auth token --gateway-token-ref-env OPENCLAW_GATEWAY_TOKEN"
    " --skip-channels --skip-skills --skip-search --skip-hooks --skip-ui --skip-bootstrap"
    " --no-install-daemon --json"
)
PATCH: dict[str, Any] = SCRIPTED | {
    "channels": {"telegram": {"enabled": False, "botToken": "1:theirs"}},
}
ORIGINS = ["http://localhost:18789", "http://127.0.0.1:18789", "https://claw.example"]
COUNTS = (templates.DIRECTORY / "backup/counts.mjs").read_text(encoding="utf-8")


class Theirs:
    """An OpenClaw, and how a command is run where it runs."""

    def __init__(self, one: Deployment, shell: str, state: str = "/home/node/.openclaw") -> None:
        self.one, self.shell, self.state = one, shell, state

    def run(self, command: str, expect: int | None = 0) -> str:
        return self.one.sh(f"{self.shell} {shlex.quote(command)}", expect)

    def fill(self) -> None:
        """A second agent, a turn of each, an automation, a skill."""
        self.run(f"node -e {shlex.quote(_MODEL % MODEL_PORT)} </dev/null >/dev/null 2>&1 &")
        self.run(f"openclaw agents add second --workspace {self.state}/second --non-interactive")
        for name in ("main", "second"):
            turn = f"openclaw agent --agent {name} --session-key agent:{name}:theirs --message hi"
            assert "hello" in self.run(f"{turn} --json")
        daily = "--name daily --cron '0 9 * * *' --session isolated --message hi"
        self.run(f"openclaw cron add {daily}")
        self.run(f"mkdir -p {self.state}/skills/mine && echo hi >{self.state}/skills/mine/SKILL.md")

    def counts(self) -> dict[str, int | None]:
        program = f"node --input-type=module -e {shlex.quote(COUNTS)} {self.state}"
        return dict(json.loads(self.run(program)))


def ours(one: Deployment) -> Theirs:
    return Theirs(one, f"docker exec {one.container()['Id']} sh -c")


def ready(one: Deployment) -> bool:
    return one.http() == 200


def lets_in(one: Deployment, token: str) -> bool:
    """Whether the gateway at the port takes the token."""
    asked = (
        "curl -s -o /dev/null -m 20 -w '%{http_code}' -X POST -H 'content-type: application/json'"
        f" -H 'authorization: Bearer {token}' -d '{{}}' 127.0.0.1:18789/tools/invoke"
    )
    return one.sh(asked) == "400"


@pytest.fixture(scope="module")
def claw(lab_host: MakeHost, deployment: MakeDeployment) -> Deployment:
    """The deployment that takes over; nothing of it is on the host, but the engine."""
    host = lab_host("bookworm", "adopt")
    builder = deployment(host, name="builder", gateway={"port": 19999, "ready_timeout": 900})
    builder.claw("up")
    builder.claw("stop", "-y")
    builder.sh("docker tag builder:local openclaw:local")
    gateway = {"ready_timeout": 900, "allowed_origins": ORIGINS[2:]}
    return deployment(host, name="claw", openclaw=SCRIPTED, gateway=gateway)


@pytest.fixture(scope="module")
def docker(claw: Deployment) -> Iterator[Theirs]:
    """OpenClaw's own Docker set-up of the user `deploy`, in ~/openclaw."""
    at = "cd /home/deploy/openclaw && docker compose"
    claw.sh(
        "install -d -o deploy -g deploy /home/deploy/openclaw /home/deploy/.config &&"
        " install -d -m 700 -o deploy -g deploy /home/deploy/.openclaw"
        " /home/deploy/.openclaw/workspace /home/deploy/.config/openclaw"
    )
    claw.sh(f"cat >/home/deploy/openclaw/docker-compose.yml <<'END'\n{COMPOSE}\nEND")
    claw.sh(f"umask 077; cat >/home/deploy/openclaw/.env <<'END'\n{ENV}END")
    once = f"{at} run -T --rm --no-deps --entrypoint node openclaw-gateway dist/index.js"
    claw.sh(f"{once} {ONBOARD} --gateway-bind lan </dev/null")
    patch = PATCH | {"gateway": {"controlUi": {"allowedOrigins": ORIGINS}}}
    given = f"echo {shlex.quote(json.dumps(patch))} >/tmp/patch"
    claw.sh(f"{given}; {once} config patch --stdin </tmp/patch")
    claw.sh(f"{at} up -d openclaw-gateway")
    until(lambda: ready(claw), 600, "their gateway")
    theirs = Theirs(claw, f"{at} exec -T openclaw-gateway sh -c")
    theirs.fill()
    yield theirs
    claw.sh(f"{at} stop", expect=None)


def inspected(one: Deployment) -> dict[str, Any]:
    found = one.sh("docker inspect openclaw-openclaw-gateway-1")
    return dict(json.loads(found)[0])


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_plan_says_what_is_there_and_changes_nothing(claw: Deployment, docker: Theirs) -> None:
    said = words(claw.claw("adopt", "--dry", expect=2).output)
    assert "the Compose project openclaw in /home/deploy/openclaw" in said
    assert f"release {RELEASE}" in said and TOKEN not in said
    assert TOKEN not in claw.claw("adopt", "--dry", "--json", expect=2).output
    refused = claw.claw("adopt", "--dry", settings={"name": "openclaw"}, expect=1).output
    assert "give the deployment another name" in words(refused)
    bare: dict[str, Any] = {"gateway": {"allowed_origins": []}}
    assert "https://claw.example" in claw.claw("adopt", "--dry", settings=bare, expect=1).output
    assert "./claw adopt takes it over" in words(claw.claw("up", "--dry", expect=1).output)
    assert ready(claw)


def test_one_that_does_not_become_ready_leaves_theirs(claw: Deployment, docker: Theirs) -> None:
    before, counted = inspected(claw), docker.counts()
    dying = {"gateway": {"environment": {"NODE_OPTIONS": "--require /absent.js"}}}
    said = words(claw.claw("adopt", "-y", settings=dying, expect=1).output)
    assert "the other one runs as before" in said
    until(lambda: ready(claw), 600, "their gateway")
    after = inspected(claw)
    assert after["Id"] == before["Id"] and after["HostConfig"] == before["HostConfig"]
    assert docker.counts() == counted and lets_in(claw, TOKEN)
    assert "agents" not in claw.sh("ls -A /var/lib/claw/config")
    assert claw.sh("ls -d /opt/claw/adopted", expect=None) == ""


def test_the_docker_set_up_is_taken_over(claw: Deployment, docker: Theirs) -> None:
    before, counted = inspected(claw), docker.counts()
    assert counted["sessions"] and counted["cron_jobs"] and counted["agents"] == 2
    said = words(claw.claw("adopt", "-y").output)
    assert "is taken over, and was away for" in said
    assert TOKEN not in said and claw.token() == TOKEN
    assert ready(claw) and lets_in(claw, TOKEN)
    kept = ours(claw).counts()
    assert {**kept, "devices": 0} == {**counted, "devices": 0}
    there = json.loads(ours(claw).run("cat /home/node/.openclaw/openclaw.json"))
    assert there["channels"]["telegram"]["botToken"] == "1:theirs"
    assert "https://claw.example" in there["gateway"]["controlUi"]["allowedOrigins"]
    assert "daily" in ours(claw).run("openclaw cron list --json")
    # It cannot start beside it: neither with its engine nor by hand.
    claw.sh("systemctl restart docker")
    until(lambda: ready(claw), 600, "the gateway")
    assert inspected(claw)["State"]["Status"] == "exited"
    claw.sh("cd /home/deploy/openclaw && docker compose up -d 2>&1", expect=1)
    assert inspected(claw)["Id"] == before["Id"] and not inspected(claw)["State"]["Running"]
    assert claw.claw("up", "--json").json["changed"] is False
    assert claw.claw("adopt", "-y", "--json").json["changed"] is False


def test_it_is_given_back(claw: Deployment, docker: Theirs) -> None:
    claw.claw("adopt", "--undo", "-y")
    until(lambda: ready(claw), 600, "their gateway")
    there = inspected(claw)
    assert there["State"]["Running"]
    assert there["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert lets_in(claw, TOKEN) and "daily" in docker.run("openclaw cron list --json")
    assert claw.sh("docker ps -aq --filter label=com.docker.compose.project=claw") == ""
    assert "config.undone-" in claw.sh("ls /var/lib/claw")
    assert "nothing to change" in claw.claw("adopt", "--undo", "-y").output
    claw.sh("cd /home/deploy/openclaw && docker compose stop")


@pytest.fixture(scope="module")
def user(claw: Deployment, docker: Theirs) -> Theirs:
    """OpenClaw on the host itself, with the unit that its own command makes, of the user anna."""
    claw.sh("cd /home/deploy/openclaw && docker compose stop")
    container = claw.sh("docker create openclaw:local").strip()
    claw.sh(
        f"mkdir -p /opt/openclaw && docker cp {container}:/app /opt/openclaw/ &&"
        f" docker cp -L {container}:/usr/local/bin/node /usr/local/bin/node &&"
        f" docker rm {container}"
    )
    claw.sh("ln -sf /opt/openclaw/app/openclaw.mjs /usr/local/bin/openclaw")
    claw.sh(
        "apt-get -qq update && apt-get -qq install -y dbus-user-session libpam-systemd >/dev/null"
        " && systemctl unmask systemd-logind && systemctl start systemd-logind"
        " && useradd -m -s /bin/bash anna && loginctl enable-linger anna"
    )
    uid = claw.sh("id -u anna").strip()
    private = f"test -S /run/user/{uid}/systemd/private && echo there"
    until(lambda: claw.sh(private, expect=None), 60, "her systemd")
    shell = (
        f"cd /home/anna && setpriv --reuid {uid} --regid {uid} --init-groups env -i HOME=/home/anna"
        f" USER=anna LOGNAME=anna PATH=$PATH XDG_RUNTIME_DIR=/run/user/{uid} sh -c"
    )
    theirs = Theirs(claw, shell, "/home/anna/.openclaw")
    token = f"OPENCLAW_GATEWAY_TOKEN={TOKEN}"
    theirs.run(f"umask 077; mkdir .openclaw; echo {token} >.openclaw/.env")
    theirs.run(f"{token} openclaw {ONBOARD} --gateway-bind loopback </dev/null")
    theirs.run(f"echo {shlex.quote(json.dumps(PATCH))} | openclaw config patch --stdin")
    theirs.run("openclaw gateway install")
    theirs.run("systemctl --user start openclaw-gateway.service")
    until(lambda: ready(claw), 600, "her gateway")
    theirs.fill()
    return theirs


def active(user: Theirs) -> str:
    return user.run("systemctl --user is-active openclaw-gateway.service", expect=None).strip()


def test_a_users_unit_is_taken_over_and_given_back(claw: Deployment, user: Theirs) -> None:
    several = words(claw.claw("adopt", "--dry", expect=1).output)
    assert "2 are here" in several and "/home/anna/.openclaw" in several
    counted = user.counts()
    claw.claw("adopt", "-y", "--source", "/home/anna/.openclaw")
    assert ready(claw) and lets_in(claw, TOKEN) and claw.token() == TOKEN
    kept = ours(claw).counts()
    assert {**kept, "devices": 0} == {**counted, "devices": 0}
    assert "daily" in ours(claw).run("openclaw cron list --json"), "its key is the state's path"
    assert "agent:main:theirs" in ours(claw).run("openclaw sessions --json")
    assert "second" in ours(claw).run("openclaw agents list --json")
    # It cannot start beside it.
    user.run("systemctl --user start openclaw-gateway.service", expect=None)
    assert active(user) == "inactive"
    assert claw.claw("up", "--json").json["changed"] is False
    claw.claw("adopt", "--undo", "-y")
    until(lambda: ready(claw), 600, "her gateway")
    assert active(user) == "active"
    assert lets_in(claw, TOKEN) and "daily" in user.run("openclaw cron list --json")
    assert "No such file" in claw.sh("ls /etc/systemd/user/openclaw-gateway.service.d 2>&1", None)
    user.run("systemctl --user stop openclaw-gateway.service")


def test_a_state_under_the_old_name_is_taken_over(claw: Deployment) -> None:
    old = {"gateway": {"mode": "local", "auth": {"token": TOKEN}}, "channels": {}}
    at = "/home/nosudo/.clawdbot"
    claw.sh(
        f"install -d -m 700 -o nosudo -g nosudo {at} {at}/workspace &&"
        f" echo {shlex.quote(json.dumps(old))} >{at}/clawdbot.json &&"
        f" echo kept >{at}/workspace/notes.md && chown -R nosudo: {at}"
    )
    claw.claw("adopt", "-y", "--source", at)
    assert ready(claw) and claw.token() == TOKEN
    assert claw.sh("cat /var/lib/claw/workspace/notes.md") == "kept\n"
    claw.claw("adopt", "--undo", "-y")
    assert claw.sh(f"cat {at}/workspace/notes.md") == "kept\n" and not ready(claw)
