"""An agent plants what it can in its own directories: root does nothing for it, the run ends."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest

from tests.e2e.harness import Deployment, until
from tests.e2e.swapping import BROKEN, build, image, retag

pytestmark = [pytest.mark.engine, pytest.mark.whole]

SECONDS = 300
"""A command that hangs never ends; one that starts a gateway may take twice as long when busy."""
NOT_READ = {
    "mkfifo openclaw.json": "it is a fifo",
    "ln -s /dev/zero openclaw.json": "it is a symbolic link",
    "ln -s {canary}/secret openclaw.json": "it is a symbolic link",
    "ln -s openclaw.json openclaw.json": "it is a symbolic link",
    "mkdir openclaw.json": "it is a directory",
    "truncate -s 4T openclaw.json": "4398046511104 bytes",
    "head -c 30000000 /dev/zero | tr '\\0' 1 >openclaw.json": "30000000 bytes",
    "echo {{}} >openclaw.json; chmod 0 openclaw.json": "may not read it",
    "yes '[' | head -n 100000 >openclaw.json": "nested too deeply",
    "printf '[1, 2]' >openclaw.json": "not an object",
    "printf '{{\"a\": \\033]52;c;aGk=\\007}}' >openclaw.json": "not JSON5",
}
PLANTED = """
for place in . agents ../workspace ../auth sandboxes; do
  mkdir -p "$place"
  (
    cd "$place"
    mkfifo planted-fifo; ln -s {canary}/secret planted-link; ln -s {canary} planted-directory
    ln -s nowhere planted-dangling; ln -s planted-loop planted-loop; truncate -s 4T planted-sparse
    echo x >'-rf'; echo x >"$(printf 'planted\\n; h=${{HOME%%root}}; touch {below}${{h}}run;\\"q')"
    perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "planted-socket", Listen => 1)'
  )
done
mkdir -p ../workspace/.openclaw
ln -sfn {canary} ../workspace/.openclaw/sandbox-skills
"""


class Agent:
    """Acts as the container's user, in the state directory, on the host that root works on."""

    def __init__(self, gateway: Deployment) -> None:
        self.gateway = gateway
        self.canary = f"/var/lib/{gateway.name}-canary"
        gateway.sh(f"mkdir {self.canary} && echo secret >{self.canary}/secret")
        gateway.sh(f"chmod 600 {self.canary}/secret")
        self.sealed = self.seen()

    def does(self, command: str) -> None:
        state = f"/var/lib/{self.gateway.name}/config"
        user = "setpriv --reuid $(stat -c %u .) --regid $(stat -c %g .) --clear-groups"
        # Passes the closed parents as the container does: its mounts begin below them.
        parent = f"/var/lib/{self.gateway.name}"
        mode = self.gateway.sh(f"stat -c %a {parent} && chmod 711 {parent}").strip()
        try:
            words = shlex.quote(
                command.format(canary=self.canary, below=self.canary.replace("/", "${h}"))
            )
            self.gateway.sh(f"cd {state} && {user} sh -euc {words}")
        finally:
            self.gateway.sh(f"chmod {mode} {parent}")

    def seen(self) -> str:
        listed = f"find {self.canary} -printf '%p %y %m %U:%G %s %T@ %C@\\n' | sort"
        return self.gateway.sh(f"{listed}; cat {self.canary}/secret")

    def nobody_reads(self) -> None:
        """Until no process of root reads what was planted."""
        listed = "pgrep -U 0 -ax 'sha256sum|base64|head|cp|cat|find'"
        until(lambda: f"{self.gateway.name}/" not in self.gateway.sh(listed, None), 60, "no reader")


@pytest.fixture
def agent(gateway: Deployment) -> Iterator[Agent]:
    agent = Agent(gateway)
    yield agent
    assert agent.seen() == agent.sealed
    gateway.sh(f"rm -rf {agent.canary}")


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=() if n == 0 else pytest.mark.long) for n in range(3)]
)
def test_an_openclaw_json_of_any_kind_is_one_clear_error(
    gateway: Deployment, agent: Agent, number: int
) -> None:
    agent.does("mv openclaw.json kept.json")
    try:
        for planted, said in list(NOT_READ.items())[number::3]:
            agent.does(planted)
            result = gateway.claw("up", "--dry", expect=1, timeout=SECONDS)
            assert said in result.output and "openclaw.json" in result.output, planted[:60]
            assert "Traceback" not in result.output and "\x1b]52" not in result.output
            agent.nobody_reads()
            agent.does("chmod -R u+rwx openclaw.json 2>/dev/null || :; rm -rf openclaw.json")
    finally:
        agent.does("rm -rf openclaw.json; mv kept.json openclaw.json")
    # OpenClaw itself reads what it is given there, and a FIFO has no end.
    gateway.sh(f"docker restart {gateway.container()['Id']}")
    until(lambda: gateway.http() == 200, SECONDS, "the gateway with its own openclaw.json again")
    gateway.claw("up", timeout=2 * SECONDS)


@pytest.mark.long
def test_every_verb_ends_while_openclaw_json_is_a_fifo(gateway: Deployment, agent: Agent) -> None:
    agent.does("mv openclaw.json kept.json; mkfifo openclaw.json")
    try:
        for verb in ("up", "status", "doctor", "verify", "sandboxes"):
            result = gateway.claw(verb, expect=None, timeout=2 * SECONDS)
            assert "Traceback" not in result.output, verb
    finally:
        agent.does("rm -rf openclaw.json; mv kept.json openclaw.json")
        gateway.claw("up")


@pytest.mark.parametrize(
    "text",
    [
        '{"agents": "x"}',
        '{"agents": {"list": [5, {"id": ["x"]}], "defaults": {"sandbox": [1]}}}',
        '{"agents": {"defaults": {"sandbox": {"mode": "all", "docker": {"image":'
        " \"x'; touch /canary; '\"}}}}}",
        '{"gateway": NaN, "gateway": {"auth": {"token": {"a": Infinity}}}}',
        '{"$include": "planted-fifo", "tools": "\\u001b]0;x\\u0007[/red]"}',
    ],
)
@pytest.mark.long
def test_an_openclaw_json_of_any_content_stays_the_hosts_own_trouble(
    gateway: Deployment, agent: Agent, text: str
) -> None:
    braced = text.replace("{", "{{").replace("}", "}}")
    agent.does("cp openclaw.json kept.json; mkfifo planted-fifo")
    try:
        agent.does(f"printf %s {shlex.quote(braced)} >n; mv n openclaw.json")
        for verb in (["up", "--dry"], ["status"], ["doctor"], ["verify"], ["sandboxes"], ["up"]):
            result = gateway.claw(*verb, expect=None, timeout=2 * SECONDS)
            assert "Traceback" not in result.output and "\x1b]0" not in result.output, verb
        assert gateway.sh("test ! -e /canary && echo absent").strip() == "absent"
    finally:
        agent.does("rm -f planted-fifo; mv -f kept.json openclaw.json")
        gateway.claw("up", expect=None)
    gateway.claw("up")


@pytest.mark.long
def test_what_is_planted_in_the_state_costs_nothing_and_goes_back_with_it(
    gateway: Deployment, agent: Agent
) -> None:
    good = build(gateway, "FROM {image}\n", "good")
    agent.does(PLANTED)
    listed = "cd /var/lib/{0}/config && find . -maxdepth 1 -name '*planted*' | sort"
    planted = gateway.sh(listed.format(gateway.name))
    assert planted.count("planted") >= 8
    try:
        for verb in (["up", "--dry"], ["up"], ["verify"], ["doctor"], ["status"], ["sandboxes"]):
            result = gateway.claw(*verb, expect=None, timeout=2 * SECONDS)
            assert "Traceback" not in result.output, verb
            agent.nobody_reads()
            assert agent.seen() == agent.sealed
        was = image(gateway, f"{gateway.name}:local")
        retag(gateway, build(gateway, BROKEN, "broken"))
        swap = f"sh /opt/{gateway.name}/run/activate.sh activate"
        said = gateway.sh(f"timeout 600 {swap}; echo exit $?")
        assert "the last good one is running again" in said and "exit 1" in said
        assert image(gateway, f"{gateway.name}:local") == was
        assert gateway.sh(listed.format(gateway.name)) == planted
        assert json.loads(gateway.sh(f"cat /var/lib/{gateway.name}/config/openclaw.json"))
    finally:
        retag(gateway, good)
        agent.does("chmod -R u+rwX . ; find . ../workspace ../auth -name '*planted*' -delete")
        agent.does("find . ../workspace ../auth -name -rf -delete; rm -f ../workspace/.openclaw/s*")
        gateway.claw("up", expect=None)
    until(lambda: gateway.http() == 200, SECONDS, "the gateway without what was planted")
