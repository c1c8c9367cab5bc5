"""A deployment with sandboxes on this machine and the private engine, shared by all short tests."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from lab.engine import Engine
from tests.e2e.conftest import MakeDeployment, brought_up, on_this_machine
from tests.e2e.harness import Deployment, until

MODEL_PORT = 18990
SCRIPTED: dict[str, Any] = {
    "models": {
        "providers": {
            "scripted": {
                "baseUrl": f"http://127.0.0.1:{MODEL_PORT}/v1",
                "apiKey": {"source": "env", "provider": "default", "id": "OPENCLAW_GATEWAY_TOKEN"},
                "api": "openai-completions",
                "models": [
                    {
                        "id": "scripted",
                        "name": "scripted",
                        "contextWindow": 200_000,
                        "maxTokens": 8_000,
                        "input": ["text"],
                        "reasoning": False,
                        "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
                    }
                ],
            }
        }
    },
    # Without a turn that OpenClaw takes by itself every half hour, and its sandbox.
    "agents": {
        "defaults": {"model": {"primary": "scripted/scripted"}, "heartbeat": {"every": "0m"}}
    },
}
"""What `openclaw` in the settings must say for `live_turn`."""
SANDBOXED: dict[str, Any] = {
    "sandbox": {"enabled": True, "socket": "socket"},
    "openclaw": SCRIPTED,
}
_MODEL = """
const chunk = (delta, finish_reason) => "data: " + JSON.stringify({
  id: "x", object: "chat.completion.chunk", created: 0, model: "scripted",
  choices: [{ index: 0, delta, finish_reason }],
}) + "\\n\\n";
require("node:http").createServer((request, response) => {
  request.resume().on("end", () => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(chunk({ role: "assistant", content: "hello" }, null) + chunk({}, "stop"));
    response.end("data: [DONE]\\n\\n");
  });
}).listen(%d, "127.0.0.1");
"""


@pytest.fixture(scope="session")
def sandboxed(engine: Engine, deployment: MakeDeployment) -> Iterator[Deployment]:
    """Sandboxes of the minimal image, with the plain socket; leave it as it was."""
    one = on_this_machine(deployment, SANDBOXED)
    try:
        yield brought_up(one)
    finally:
        one.remove()


def live_turn(one: Deployment, agent: str = "main") -> dict[str, Any]:
    """Have an agent of the live gateway say hello, which makes its sandbox; `docker inspect` of it.

    The model is a script beside the gateway, in its container.
    """
    container = one.container()["Id"]
    listens = f"node -e 'fetch(\"http://127.0.0.1:{MODEL_PORT}\").catch(() => process.exit(1))'"
    if "up" not in one.in_gateway(f"{listens} && echo up || true"):
        script = shlex.quote(_MODEL % MODEL_PORT)
        one.sh(f"docker exec -d {container} node -e {script}")
        until(lambda: "up" in one.in_gateway(f"{listens} && echo up || true"), 180, "the model")
    said = one.in_gateway(
        f"openclaw agent --agent {agent} --session-key agent:{agent}:test --message hi --json"
    )
    assert "hello" in json.dumps(json.loads(said)), said
    (sandbox,) = [
        found
        for found in one.sandboxes()
        if found["Config"]["Labels"]["openclaw.sessionKey"].startswith(f"agent:{agent}:")
        and "openclaw.sandboxBrowser" not in found["Config"]["Labels"]
    ]
    return dict(sandbox)
