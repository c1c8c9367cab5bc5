"""From one real release of OpenClaw to the next, with state that must outlive it, and the way back:
one gateway for all of it, in this order."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import on_this_machine
from tests.e2e.harness import ROOT, Deployment, until
from tests.e2e.sandbox.conftest import _MODEL, MODEL_PORT, SCRIPTED
from tests.e2e.swapping import build, image, retag, running

pytestmark = [pytest.mark.engine, pytest.mark.long]

FIRST, SECOND = "2026.8.2", "2026.9.6"
NEVER_STARTS = """\
FROM {image}
USER root
RUN printf '%s\\n' '#!/bin/sh' \\
  'case $1 in gateway) ;; *) exec node /app/openclaw.mjs "$@" ;; esac' \\
  'echo "this release does not start" >&2; exit 78' >/tmp/broken && \\
  rm -f /usr/local/bin/openclaw && install -m 755 /tmp/broken /usr/local/bin/openclaw
USER node
"""
NEVER_READY = NEVER_STARTS.replace(
    'echo "this release does not start" >&2; exit 78', "echo waiting for ever; exec sleep 9999"
)


@pytest.fixture(scope="module")
def gateway(engine: Any, deployment: Any) -> Iterator[Deployment]:
    settings = {
        "openclaw": SCRIPTED,
        "gateway": {"version": FIRST, "ready_timeout": 600},
        "onboarding": {"enabled": False},
    }
    one = on_this_machine(deployment, settings)
    one.claw("up")
    begin_with_state(one)
    yield one
    one.remove()


def begin_with_state(one: Deployment) -> None:
    """A session with a turn of a scripted model, a cron job and a skill."""
    one.sh(f"docker exec -d {one.container()['Id']} node -e {shlex.quote(_MODEL % MODEL_PORT)}")
    turn = "openclaw agent --agent main --session-key agent:main:first --message hi --json"
    assert "hello" in one.in_gateway(turn)
    one.in_gateway("openclaw cron add --name yearly --cron '0 0 1 1 *' --message hi --json")
    one.in_gateway("mkdir -p ~/.openclaw/skills/mine && echo x >~/.openclaw/skills/mine/SKILL.md")
    assert held(one)["sessions"] >= 1 and held(one)["cron_jobs"] >= 1


def held(one: Deployment) -> dict[str, int]:
    """What the state holds, as a rehearsal counts it."""
    script = (ROOT / "templates/backup/counts.mjs").read_text()
    command = f"node --input-type=module -e {shlex.quote(script)} ~/.openclaw 2>/dev/null"
    return dict(json.loads(one.in_gateway(command)))


def nothing_left(one: Deployment) -> bool:
    named = f"--filter name={one.name}-rehearsal"
    return one.sh(f"docker ps -aq {named}; docker volume ls -q {named}") == ""


def test_a_line_that_names_another_release_is_said(gateway: Deployment) -> None:
    was = running(gateway)
    said = gateway.claw("upgrade", SECOND, "-y", expect=1).output
    assert f"says gateway.version {FIRST}" in said and f'put "{SECOND}" there' in said
    assert running(gateway) == was


def test_a_rehearsal_that_is_killed_leaves_the_old_gateway(gateway: Deployment) -> None:
    gateway.settings["gateway"]["version"] = SECOND
    was = running(gateway)
    upgrade = gateway.start("upgrade", "-y")
    named = f"docker ps -q --filter name={gateway.name}-rehearsal"
    until(lambda: gateway.sh(named).strip(), 900, "the rehearsal")
    upgrade.kill()
    listed = (
        f"ps -eo pid=,pgid=,args= | grep '/opt/{gateway.name}/run/activate.s[h] activate detach'"
    )
    found = [line.split() for line in gateway.sh(listed).splitlines()]
    for pid in [int(pid) for pid, group, *_ in found if pid == group]:
        os.killpg(pid, signal.SIGKILL)
    assert running(gateway) == was and gateway.http() == 200


def test_state_outlives_an_upgrade_that_was_rehearsed(gateway: Deployment) -> None:
    before = held(gateway)
    result = gateway.claw("upgrade", "-y")
    print(result.output)
    assert re.search("Rehearsal +the new image became ready on a copy of the state", result.output)
    assert re.search(r"Downtime +[0-9.]+ s", result.output)
    assert f"openclaw {SECOND}" in gateway.in_gateway("openclaw --version").lower()
    after = held(gateway)
    assert all((after[name] or 0) >= (number or 0) for name, number in before.items())
    assert nothing_left(gateway)
    assert "nothing to change" in gateway.claw("up").output
    assert "nothing to change" in gateway.claw("upgrade", "-y").output
    below = gateway.claw("upgrade", FIRST, "-y", expect=1).output
    assert f"{FIRST} is below {SECOND}" in below and "./claw rollback" in below


@pytest.mark.parametrize(
    ("release", "step"),
    [(NEVER_STARTS, "this release does not start"), (NEVER_READY, "is not ready after 60 s")],
)
def test_a_release_that_fails_stops_nothing(release: str, step: str, gateway: Deployment) -> None:
    was, good = running(gateway), image(gateway, f"{gateway.name}:local")
    broken = build(gateway, release, "broken")
    retag(gateway, broken)
    result = gateway.claw("up", settings={"gateway": {"ready_timeout": 60}}, expect=1)
    print(result.output)
    assert 'rehearsal: failed at the step "start"' in result.output and step in result.output
    assert "the old gateway serves as before" in result.output
    assert running(gateway) == was and gateway.http() == 200
    assert image(gateway, f"{gateway.name}:local") == good and nothing_left(gateway)
    gateway.sh(f"docker image rm {broken}")
    assert "nothing to change" in gateway.claw("up").output


def test_the_way_back_has_the_state_of_then(gateway: Deployment) -> None:
    gateway.in_gateway("mkdir ~/.openclaw/skills/later && touch ~/.openclaw/skills/later/SKILL.md")
    (host,) = gateway.claw("rollback", "--json").json["hosts"].values()
    (one,) = host["generations"]
    assert one["release"] == FIRST and "image" in one["changed"] and not one["missing"]
    print(gateway.claw("rollback").output)
    result = gateway.claw("rollback", "--to", "1", "-y")
    print(result.output)
    assert FIRST in gateway.in_gateway("openclaw --version")
    assert gateway.http() == 200
    assert held(gateway)["skills"] == 1 and held(gateway)["cron_jobs"] >= 1
    assert "generation 2: what was left just now" in result.output
    # And what was written since is not lost.
    gateway.claw("rollback", "--to", "2", "-y")
    assert held(gateway)["skills"] == 2
    assert "nothing to change" in gateway.claw("up").output
