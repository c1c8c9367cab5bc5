"""OpenClaw's own Docker set-up is on the host already, under the deployment's names."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e.conftest import MakeDeployment
from tests.e2e.harness import Deployment

pytestmark = pytest.mark.engine
COMPOSE = """
name: {name}
x-openclaw: &openclaw
  image: {name}:local
  volumes: ["{state}:/home/node/.openclaw", "home:/home/node"]
services:
  openclaw-gateway:
    <<: *openclaw
    command: [sleep, infinity]
    ports: ["127.0.0.1:{port}:{port}"]
  openclaw-cli:
    <<: *openclaw
    command: ["true"]
volumes:
  home: {{}}
"""


@pytest.fixture
def theirs(local_deployment: MakeDeployment, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment whose names a Compose project in another directory has."""
    one = local_deployment()
    state = tmp_path / "state"
    state.mkdir()
    (state / "openclaw.json").write_text('{"channels": {}}\n')
    text = COMPOSE.format(name=one.name, state=state, port=one.port)
    (tmp_path / "docker-compose.yml").write_text(text)
    subprocess.run([str(lab.HERE / "engine.sh"), "base", "bookworm"], check=True)
    one.sh(f"docker tag lab-base:bookworm {one.name}:local")
    one.sh(f"cd {tmp_path} && docker compose up -d --quiet-pull")
    one.sh(f"docker wait {one.name}-openclaw-cli-1")
    yield one
    one.sh(f"cd {tmp_path} && docker compose down -v -t 0")
    one.sh(f"docker rmi {one.name}:local")


def what_is_there(one: Deployment, directory: Path) -> dict[str, Any]:
    """Everything of their project, as the engine shows it, and its files."""
    label = f"--filter label=com.docker.compose.project={one.name}"
    ids = one.sh(f"docker ps -aq --no-trunc {label} | sort").split()
    containers = json.loads(one.sh(f"docker inspect {' '.join(ids)}"))
    for container in containers:  # which the engine shows in any order
        container["Mounts"].sort(key=lambda mount: mount["Destination"])
    return {
        "containers": containers,
        "image": one.sh(f"docker image inspect -f '{{{{.Id}}}}' {one.name}:local"),
        "networks": one.sh(f"docker network ls -q --no-trunc {label}"),
        "volumes": one.sh(f"docker volume ls -q {label}"),
        "files": one.sh(f"find {directory} -printf '%p %U:%G %m %C@ %s\\n' | sort"),
        "ours": one.sh(f"ls -d /opt/{one.name} /var/lib/{one.name}", expect=None),
    }


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_project_of_the_same_name_is_refused_and_stays_as_it_is(
    theirs: Deployment, tmp_path: Path, state: str
) -> None:
    if state == "stopped":
        theirs.sh(f"cd {tmp_path} && docker compose stop -t 0")
    before = what_is_there(theirs, tmp_path)
    said = " ".join(theirs.claw("up", expect=1).output.split())
    assert f"a Compose project {theirs.name} that is not this deployment's" in said
    assert f"started from {tmp_path}" in said and f"{tmp_path}/state" in said
    assert "--set name=NAME --set gateway.port=PORT" in said
    theirs.claw("restart", expect=1)  # nor do the other verbs take it for ours
    assert what_is_there(theirs, tmp_path) == before
