"""What is on a host under the deployment's names and is somebody else's: facts in, problems out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from operations.gateway import bridges, conflicts
from tests.operations.hosts import commands, judged
from toolkit.settings import Settings

THEIRS = {
    "name": "openclaw-openclaw-gateway-1",
    "project": "openclaw",
    "directory": "/home/anna/openclaw",
    "service": "openclaw-gateway",
    "label": "",
    "image": "openclaw:local",
    "state": "running",
    "ports": "0.0.0.0:18789->18789/tcp, :::18789->18789/tcp",
    "mounts": "/home/anna/.openclaw/workspace,/home/anna/.openclaw",
}
OURS = THEIRS | {
    "directory": "/opt/openclaw",
    "label": "0123",
    "ports": "127.0.0.1:18789->18789/tcp",
    "mounts": "/var/lib/openclaw/config,/var/lib/openclaw/workspace",
}
FOREIGN_IMAGE = ["image", "sha256:" + "a" * 64, ["openclaw:local"], ""]
OUR_IMAGE = ["image", "sha256:" + "b" * 64, ["openclaw:local", "openclaw:last-good"], "0123"]
LISTENER = "listener=0100007F:4965 node (pid 7 of anna, openclaw-gateway.service)"


def container(base: Any = THEIRS, **changes: str) -> list[str]:
    return ["container", *(base | changes).values()]


def problems(*found: list[Any], system: str = "", **settings: Any) -> list[tuple[str, str]]:
    answers = {"occupied": "\n".join(map(json.dumps, found)), "system": system}
    wanted = Settings.model_validate(settings)
    return [
        (problem.what, problem.fix)
        for problem in judged(conflicts.conflict_problems, wanted, answers)
        if problem.stops
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state": "exited", "ports": ""},
        {"directory": "/opt/openclaw"},  # their checkout is where ours would be
        {"directory": "", "name": "other"},
        {"service": "openclaw-cli", "name": "openclaw-openclaw-cli-1", "state": "exited"},
        {"label": "0123"},  # another deployment of the toolkit, with another state
    ],
)
def test_a_compose_project_of_the_same_name_is_told_apart(changes: dict[str, str]) -> None:
    ((what, fix),) = problems(container(**changes), FOREIGN_IMAGE, system=LISTENER)
    assert "Compose project openclaw that is not this deployment's" in what
    assert (THEIRS | changes)["name"] in what and (THEIRS | changes)["state"] in what
    assert "/home/anna/.openclaw" in what
    assert "--set name=NAME --set gateway.port=PORT" in fix


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state": "exited", "ports": ""},
        {"directory": "/srv/moved"},
        {"service": "openclaw-cli", "label": "", "name": "openclaw-openclaw-cli-run-1"},
    ],
)
def test_the_deployment_s_own_containers_and_images_are_no_conflict(
    changes: dict[str, str],
) -> None:
    assert problems(container(OURS, **changes), OUR_IMAGE) == []


def test_another_name_is_beside_it() -> None:
    beside: Any = {"name": "second", "gateway": {"port": 18889}}
    assert problems(container(), FOREIGN_IMAGE, **beside) == []


@pytest.mark.parametrize(
    "tag", ["openclaw:local", "openclaw:last-good", "openclaw-sandbox:bookworm-slim"]
)
def test_a_tag_of_somebody_else_s_image_is_not_moved(tag: str) -> None:
    image = ["image", "sha256:" + "c" * 64, [tag], ""]
    ((what, fix),) = problems(image, sandbox={"enabled": True})
    assert f"the image {tag} (sha256:cccc" in what and "not of this toolkit" in what
    assert f"docker rmi {tag}" in fix


def test_a_container_with_the_gateway_s_name_is_not_replaced() -> None:
    ((what, _),) = problems(container(project="", directory="", service="", ports="", mounts=""))
    assert "a container openclaw-openclaw-gateway-1 (running, image openclaw:local)" in what


@pytest.mark.parametrize(
    ("ports", "address", "taken"),
    [
        ("0.0.0.0:18789->80/tcp, 0.0.0.0:18790->81/tcp", "127.0.0.1", True),
        (":::18789->80/tcp", "127.0.0.1", True),
        ("10.0.0.1:18789->80/tcp", "127.0.0.1", False),
        ("18789/tcp", "127.0.0.1", False),
    ],
)
def test_the_container_that_has_the_port_is_named(ports: str, address: str, taken: bool) -> None:
    there = container(name="web", project="web", service="web", image="nginx:1", ports=ports)
    found = problems(there, gateway={"address": address})
    assert [what for what, _ in found] == taken * [
        f"gateway.port 18789 is in use on {ports.partition(':18')[0]} by the container"
        " web (image nginx:1)"
    ]


def test_a_gateway_of_the_host_on_the_same_port_is_named_with_user_and_unit() -> None:
    ((what, _),) = problems(system=LISTENER)
    assert what.endswith("by node (pid 7 of anna, openclaw-gateway.service)")


def test_networks_and_volumes_of_other_projects_are_not_taken() -> None:
    bridge = bridges.bridge(Settings().name)
    ((what, _),) = problems(["network", bridge, "other"], ["network", f"{bridge}2", "other"])
    assert f"the network {bridge}" in what and "the project other" in what
    assert problems(["network", bridge, "openclaw"]) == []
    bridged: Any = {"enabled": True, "container": {"network": "bridge"}}
    for by, who in (("other", "the project other"), ("", "somebody else")):
        ((what, _),) = problems(["network", "openclaw-sandbox-tools", by], sandbox=bridged)
        assert (
            f"the network openclaw-sandbox-tools, which the gateway needs, was made by {who}"
            in what
        )
    assert problems(["network", "openclaw-sandbox-tools", "openclaw"], sandbox=bridged) == []
    assert problems(["network", "openclaw-sandbox-tools", "other"]) == []
    ((what, _),) = problems(["volume", "home", "other"], home_volume="home")
    assert "the volume home" in what
    assert problems(["volume", "home", ""], home_volume="home") == []


def test_two_gateways_do_not_run_on_one_state() -> None:
    other: Any = {"project": "other", "name": "other", "ports": "", "mounts": "/root/.openclaw"}
    directories: Any = {"config": "/root/.openclaw"}
    ((what, _),) = problems(container(**other), directories=directories)
    assert "other runs with /root/.openclaw" in what
    assert problems(container(**other, state="exited"), directories=directories) == []
    assert problems(container(**other | {"project": ""}), directories=directories) == []


def test_a_compose_file_that_the_toolkit_did_not_write_is_not_replaced() -> None:
    ((what, _),) = problems(["file"])
    assert what == "/opt/openclaw/docker-compose.yml is not the toolkit's, and would be replaced"


def test_what_a_host_says_is_one_line_without_control_characters() -> None:
    ((what, _),) = problems(container(directory="/x\n\x1b]52;c;eA==\x07\x9b2J"))
    assert what.isprintable()


@pytest.mark.parametrize("line", ["", "{", "7", '["container"]', '["image", "a", 7, ""]', "[]"])
def test_what_is_no_answer_is_no_conflict(line: str) -> None:
    answers = {"occupied": line, "system": ""}
    assert judged(conflicts.conflict_problems, Settings(), answers) == []


def test_an_engine_that_was_started_by_the_run_is_looked_at_before_anything_is_built() -> None:
    answers = {"occupied": json.dumps(container()), "system": ""}
    with pytest.raises(PyinfraError, match="not this deployment's"):
        commands(conflicts.excluded, answers, settings=Settings())
    assert commands(conflicts.excluded, {"occupied": "", "system": ""}, settings=Settings()) == []
