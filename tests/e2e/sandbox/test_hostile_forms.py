"""An agent whose engine has no root plants what it can, and replaces that engine: the host is not
its, every command ends, and what it broke can be put right.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from operations import engine_access
from tests.e2e.conftest import MakeDeployment, MakeHost
from tests.e2e.harness import Deployment, until
from tests.e2e.test_hostile_agent import NOT_READ, PLANTED, SECONDS, Agent
from toolkit.settings import Settings

pytestmark = [pytest.mark.engine, pytest.mark.long]

ENGINE = "openclaw-engine"
SOCKET = engine_access.rootless_socket(Settings().name)
VERBS = (["up", "--dry"], ["up"], ["verify"], ["doctor"], ["status"], ["sandboxes"])
# Stands in the place of the engine, as its own user, and answers every question so.
REPLACED = """
use IO::Socket::UNIX;
unlink $ARGV[0];
my $engine = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 100) or die;
chmod 0660, $ARGV[0];
$SIG{CHLD} = "IGNORE";
while (my $client = $engine->accept) {
  next if fork;
  $client->autoflush(1);
  print $client "HTTP/1.1 200 OK\\r\\nApi-Version: 1.41\\r\\nOstype: linux\\r\\n";
  print $client "Content-Type: application/json\\r\\n\\r\\n[";
  sleep 3600 if $ARGV[1] eq "silent";
  1 while print $client "{\\"Id\\":\\"-H\\",\\"Names\\":[\\"/x\\"]}," x 1000;
  exit;
}
"""


@pytest.fixture(scope="module", params=["host", "rootless"])
def attacked(
    request: pytest.FixtureRequest, lab_host: MakeHost, deployment: MakeDeployment
) -> Deployment:
    """A bare host with a deployment whose engine has no root."""
    one = deployment(
        lab_host("bookworm", f"hostile-{request.param}"),
        base_images="bootstrap",
        sandbox={"enabled": True, "socket": request.param},
    )
    # A lab host's own root is an overlay, on which there is no other.
    home = engine_access.rootless_home(Settings().name)
    one.sh(
        f"mkdir -p /var/lib/docker/home {home}; "
        f"mountpoint -q {home} || mount --bind /var/lib/docker/home {home}"
    )
    one.claw("up")
    return one


@pytest.fixture
def agent(attacked: Deployment) -> Iterator[Agent]:
    agent = Agent(attacked)
    yield agent
    assert agent.seen() == agent.sealed
    attacked.sh(f"rm -rf {agent.canary}")


def every_verb_ends(one: Deployment, agent: Agent) -> dict[str, Any]:
    said = {}
    for verb in VERBS:
        result = one.claw(*verb, expect=None, timeout=2 * SECONDS)
        assert "Traceback" not in result.output and result.returncode in (0, 1, 2), verb
        assert agent.seen() == agent.sealed
        said[" ".join(verb)] = result
    return said


def test_an_openclaw_json_that_is_no_file_is_one_clear_error(
    attacked: Deployment, agent: Agent
) -> None:
    agent.does("mv openclaw.json kept.json")
    try:
        for planted, said in list(NOT_READ.items())[:6]:
            agent.does(planted)
            result = attacked.claw("up", "--dry", expect=1, timeout=SECONDS)
            assert said in result.output and "openclaw.json" in result.output, planted
            agent.nobody_reads()
            agent.does("rm -rf openclaw.json")
    finally:
        agent.does("rm -rf openclaw.json; mv kept.json openclaw.json")


def test_what_is_planted_costs_nothing_and_an_upgrade_that_fails_goes_back(
    attacked: Deployment, agent: Agent
) -> None:
    agent.does(PLANTED)
    try:
        every_verb_ends(attacked, agent)
        dockerfile = (
            "FROM openclaw:local\nUSER root\nRUN rm /usr/local/bin/openclaw && "
            "printf '#!/bin/sh\\nexit 78\\n' >/usr/local/bin/openclaw && "
            "chmod 755 /usr/local/bin/openclaw\nUSER node\n"
        )
        attacked.sh(
            f"export DOCKER_HOST=unix://{SOCKET}; docker build -q -t broken - <<'END'\n"
            f"{dockerfile}END\ndocker tag broken openclaw:local"
        )
        swap = "timeout 600 sh /opt/openclaw/run/activate.sh activate; echo exit $?"
        said = attacked.sh(swap)
        assert "the last good one is running again" in said and "exit 1" in said
        assert json.loads(attacked.sh("cat /var/lib/openclaw/config/openclaw.json"))
    finally:
        agent.does("chmod -R u+rwX .; find . ../workspace ../auth -name '*planted*' -delete")
        agent.does("find . ../workspace ../auth -name -rf -delete; rm -f ../workspace/.openclaw/s*")
    until(lambda: attacked.http() == 200, SECONDS, "the gateway of before")
    attacked.claw("up")


@pytest.mark.parametrize("kind", ["silent", "endless"])
def test_an_engine_that_was_replaced_ends_as_one_clear_error(
    attacked: Deployment, agent: Agent, kind: str
) -> None:
    unit = shlex.quote(f"claw-test-{kind}")
    attacked.sh(f"systemctl stop {ENGINE}; mkdir -p {SOCKET.rpartition('/')[0]}")
    attacked.sh(f"chown {ENGINE}: {SOCKET.rpartition('/')[0]}")
    attacked.sh(
        f"cat >/srv/replaced.pl <<'END'\n{REPLACED}END\n"
        f"systemd-run -q --collect --unit={unit} --property=User={ENGINE} "
        f"perl /srv/replaced.pl {SOCKET} {kind}"
    )
    until(lambda: attacked.sh(f"test -S {SOCKET} && echo there", None), 60, "the other engine")
    try:
        said = every_verb_ends(attacked, agent)
        assert said["up --dry"].returncode == said["up"].returncode == 1
        if kind == "endless":
            assert "the engine cannot be asked: docker" in said["up"].output
        asking = "pgrep -x -U 0 docker"
        # Ten minutes is how long an engine may take for an answer outside of the snapshot.
        until(lambda: attacked.sh(asking, None) == "", 660, "nobody of root's who still asks")
    finally:
        attacked.sh(f"systemctl stop {unit}; rm -f {SOCKET}; systemctl restart {ENGINE}")
    attacked.claw("up", timeout=2 * SECONDS)
    until(lambda: attacked.http() == 200, SECONDS, "the gateway, after its own engine is back")


def test_the_gateway_cannot_say_what_it_was_started_from(
    attacked: Deployment, agent: Agent
) -> None:
    """As its own user, in the form `host`: a process of its may have any environment."""
    if not attacked.sh("ls /etc/systemd/system/openclaw-gateway.service 2>/dev/null", None):
        pytest.skip("the gateway is a container, of which the engine says it")
    started = attacked.sh("stat -c '%U %a' /var/lib/openclaw-gateway/started").split()
    assert started[0] == "root"
    agent.does("cat /var/lib/openclaw-gateway/started 2>/dev/null && exit 1 || :")
    assert "nothing to change" in attacked.claw("up").output
