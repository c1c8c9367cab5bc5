"""Backups over sftp, restored to the same host and to a bare one; what cannot be restored changes
nothing. One host has the repository, and a gateway of its own; the other one is bare."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e.conftest import MakeDeployment, MakeHost
from tests.e2e.harness import Deployment, until
from tests.e2e.sandbox.conftest import _MODEL, MODEL_PORT, SCRIPTED

pytestmark = [pytest.mark.engine, pytest.mark.long]

KEY = "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519; cat /root/.ssh/id_ed25519.pub"
LOCKED = """
. /opt/openclaw/backup/secrets.sh
export RESTIC_CACHE_DIR=/tmp/locked
restic backup --quiet --stdin --stdin-filename x </dev/null >/dev/null
setsid restic check --quiet --read-data >/tmp/check.log 2>&1 &
echo $! >/tmp/check.pid
until [ "$(ls /srv/restic/locks)" ]; do sleep 0.01; done
kill -STOP $(cat /tmp/check.pid)
"""
"""Somebody holds the repository's exclusive lock, and does not let go of it."""


@pytest.fixture(scope="module")
def password(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("password") / "password"
    path.write_text("correct horse\n")
    return path


def trusted(server: lab.Host, client: lab.Host) -> None:
    """Let root of a host connect to the other one by ssh."""
    key = lab.ssh(client.name, KEY).stdout
    lab.ssh(server.name, f"echo {shlex.quote(key.strip())} >>/root/.ssh/authorized_keys")
    lab.ssh(client.name, f"ssh-keyscan {server.ip} >>/root/.ssh/known_hosts 2>/dev/null")


@pytest.fixture(scope="module")
def gateway(lab_host: MakeHost, deployment: MakeDeployment, password: Path) -> Iterator[Deployment]:
    """With backups over sftp, sessions, a cron job and a skill."""
    host = lab_host("bookworm", "restored")
    trusted(host, host)
    backup = {
        "repository": f"sftp:root@{host.ip}:/srv/restic",
        "password": {"file": str(password)},
        "drill": "weekly",
    }
    one = deployment(host, openclaw=SCRIPTED, gateway={"ready_timeout": 900}, backup=backup)
    one.claw("up")
    turn(one)
    automate(one, "one", hour=5)
    yield one


def automate(one: Deployment, name: str, hour: int) -> None:
    """Have OpenClaw run something by itself once a day."""
    words = f"cron add --name {name} --message hi --agent main --session isolated --cron"
    one.claw("cli", "--", *words.split(), f"0 {hour} * * *")


def turn(one: Deployment) -> None:
    """Have a session with a turn of the scripted model."""
    container = one.container()["Id"]
    listens = f"node -e 'fetch(\"http://127.0.0.1:{MODEL_PORT}\").catch(() => process.exit(1))'"
    one.sh(f"docker exec -d {container} node -e {shlex.quote(_MODEL % MODEL_PORT)}")
    until(lambda: "up" in one.in_gateway(f"{listens} && echo up || true"), 180, "the model")
    key = "--session-key agent:main:kept"
    said = one.in_gateway(f"openclaw agent --agent main {key} --message hi --json")
    assert "hello" in said


def shown(one: Deployment) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the newest backup has counted, and what the state holds now."""
    said = one.sh("sh /opt/openclaw/backup/backup.sh show latest")
    lines = dict(line.partition(" ")[::2] for line in said.splitlines())
    return json.loads(lines["manifest"])["counts"], json.loads(lines["now"])


def test_a_backup_over_sftp_its_drill_and_the_timers(gateway: Deployment) -> None:
    assert "nothing to change" in gateway.claw("up").output
    gateway.claw("backup")
    assert "was restored and became ready" in gateway.claw("drill").output
    counted, now = shown(gateway)
    assert counted == now and counted["cron_jobs"] and counted["messages"] > 1
    timers = gateway.sh("systemctl list-timers --all --no-legend")
    assert "openclaw-backup.timer" in timers and "openclaw-drill.timer" in timers
    gateway.sh("systemctl start --wait openclaw-backup.service")
    found = gateway.claw("backups", "--json").json["hosts"][gateway.vps.name]
    assert len(found["backups"]) == 2 and found["healthy"]
    status = gateway.claw("status", "--json").json["hosts"][gateway.vps.name]
    assert status["backups"]["made"] < 600 and not status["backups"]["failed"]


def test_openclaws_own_commands_in_what_is_shipped(gateway: Deployment) -> None:
    """As its documentation has them (cli/backup): with no directory named, and one beside."""
    gateway.claw("cli", "--", "backup", "create", "--verify")
    (archive,) = gateway.sh("ls /var/lib/openclaw/archives").split()
    gateway.claw("cli", "--", "backup", "restore", f"./{archive}", "--target", "./restored")
    assert "openclaw.json" in gateway.sh("find /var/lib/openclaw/archives/restored -name '*.json'")
    volumes = gateway.sh("docker volume ls -q").split()
    cli = "cd /opt/openclaw && docker compose run -T --rm openclaw-cli"
    gateway.sh(f"{cli} backup verify ./{archive} </dev/null")
    assert gateway.sh("docker volume ls -q").split() == volumes
    assert "nothing to change" in gateway.claw("up").output


def test_what_cannot_be_done_changes_nothing(
    gateway: Deployment, password: Path, tmp_path: Path
) -> None:
    before = gateway.container()["Id"], gateway.token()
    (tmp_path / "wrong").write_text("another one\n")
    wrong = {"backup": {"password": {"file": str(tmp_path / "wrong")}}}
    refused = gateway.claw("up", settings=wrong, expect=1).output
    assert "the repository refuses backup.password" in refused and "another one" not in refused
    assert "nothing to change" in gateway.claw("up").output, "the host has the right one still"

    gateway.sh(
        ". /opt/openclaw/backup/secrets.sh; cd /srv && mkdir -p other && cd other &&"
        ' echo \'{"deployment": "other", "created": "2026-11-29T12:00:00Z",'
        ' "release": "2026.9.6", "counts": {}}\' >manifest.json &&'
        " restic -q backup --host elsewhere --tag openclaw-other ."
    )
    ids = gateway.sh(
        ". /opt/openclaw/backup/secrets.sh; restic snapshots --json --tag openclaw-other"
    )
    other = json.loads(ids)[0]["short_id"]
    said = gateway.claw("restore", "-y", "--backup", other, expect=1).output
    assert "is of the deployment other, not openclaw" in said

    gateway.sh(LOCKED)
    try:
        said = gateway.claw("backup", expect=1).output
        assert "already locked" in said and "wait for that run to end" in said
    finally:
        gateway.sh(
            "pid=$(cat /tmp/check.pid); kill -CONT $pid; while kill -0 $pid; do sleep 0.1; done",
            expect=None,
        )
    assert "the last backup failed" in gateway.claw("status").stdout
    gateway.claw("backup")
    assert (gateway.container()["Id"], gateway.token()) == before
    assert gateway.http() == 200


def test_the_same_host(gateway: Deployment) -> None:
    token = gateway.token()
    gateway.in_gateway("echo mine >~/.openclaw/workspace/later")
    automate(gateway, "two", hour=6)
    counted, now = shown(gateway)
    assert now["cron_jobs"] == counted["cron_jobs"] + 1
    dry = gateway.claw("restore", "--dry", expect=2).output
    assert f"cron jobs: {now['cron_jobs']} → {counted['cron_jobs']}" in dry
    gateway.claw("restore", "-y")
    counted, now = shown(gateway)
    assert counted == now
    assert gateway.token() == token and gateway.http() == 200
    assert "later" not in gateway.in_gateway("ls ~/.openclaw/workspace")
    kept = gateway.sh("cat /var/lib/openclaw/workspace.before-restore-*/later")
    assert kept.strip() == "mine"
    gateway.claw("up")
    assert "nothing to change" in gateway.claw("up").output


def test_a_bare_host(
    gateway: Deployment, lab_host: MakeHost, deployment: MakeDeployment, password: Path
) -> None:
    new = lab_host("bookworm", "bare")
    trusted(gateway.vps, new)
    counted, _ = shown(gateway)
    one = deployment(new, openclaw=SCRIPTED, gateway={"ready_timeout": 900})
    place = ("--from", gateway.settings["backup"]["repository"], "--password-file", str(password))
    dry = one.claw("restore", "--dry", *place, expect=2)
    assert "After that, the backup would be restored" in dry.output
    one.claw("restore", "-y", *place)
    assert one.token() == gateway.token() and one.http() == 200
    assert one.claw("status", "--json").json["hosts"][new.name]["ready"]
    lines = one.sh("sh /opt/openclaw/backup/backup.sh show latest").splitlines()
    assert json.loads(next(line for line in lines if line.startswith("now "))[4:]) == counted
    again = gateway.token() in one.claw("restore", "--dry", *place, expect=2).output
    assert not again, "a token is no output"
