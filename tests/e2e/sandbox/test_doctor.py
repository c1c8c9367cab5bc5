"""`./claw doctor` names what keeps sandboxes from working: each is broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.harness import Deployment, until

pytestmark = [pytest.mark.engine, pytest.mark.whole]


def findings(one: Deployment, expect: int | None = 1, **settings: Any) -> list[dict[str, Any]]:
    result = one.claw("doctor", "--json", expect=expect, settings=settings)
    return list(result.json["hosts"]["@local"]["findings"])


def said(found: list[dict[str, Any]], words: str) -> dict[str, Any]:
    """The one finding that has these words."""
    matching = [one for one in found if words in one["what"]]
    assert len(matching) == 1, (words, found)
    return matching[0]


def tag(one: Deployment) -> str:
    return f"{one.name}-sandbox:bookworm-slim"


@contextmanager
def other_image(one: Deployment, dockerfile: str) -> Iterator[None]:
    """Another image under the sandbox image's tag; '': none."""
    one.sh(f"docker tag {tag(one)} {tag(one)}-kept && docker rmi {tag(one)}")
    try:
        if dockerfile:
            lines = f"FROM {tag(one)}-kept\n{dockerfile}\n"
            one.sh(f"printf '%s' '{lines}' | docker build -q -t {tag(one)} -")
        yield
    finally:
        one.sh(f"docker tag {tag(one)}-kept {tag(one)} && docker rmi {tag(one)}-kept")


def test_nothing_is_found_where_nothing_is_wrong(sandboxed: Deployment):
    assert findings(sandboxed, expect=0) == []


def test_image_workspace_and_profile(sandboxed: Deployment):
    """Three at once: what is found first does not hide the rest."""
    workspace = f"/var/lib/{sandboxed.name}/workspace"
    profile = f"/opt/{sandboxed.name}/security/seccomp-tools.json"
    sandboxed.sh(f"chown 0:0 {workspace} && mv {profile} {profile}.away")
    try:
        with other_image(sandboxed, ""):
            found = findings(sandboxed)
    finally:
        sandboxed.sh(f"chown {sandboxed.owner} {workspace} && mv {profile}.away {profile}")
    image = said(found, f"the sandbox image {tag(sandboxed)} is not on the engine")
    assert image["fix"] == f"./claw up {sandboxed.inventory} --limit @local"
    owner = said(
        found, f"{workspace} belongs to uid 0 (root:root), but tools run as the gateway does"
    )
    assert owner["fix"].startswith(f"find {workspace} ")
    assert said(found, "cannot read the profile")["what"].endswith("/seccomp-tools.json")


@pytest.mark.long
def test_the_fix_of_a_wrong_owner_mends_it(sandboxed: Deployment):
    workspace = f"/var/lib/{sandboxed.name}/workspace"
    sandboxed.sh(f"chown 0:0 {workspace}")
    sandboxed.sh(said(findings(sandboxed), "belongs to uid 0")["fix"])
    assert findings(sandboxed, expect=0) == []
    assert sandboxed.sh(f"stat -c %u:%g {workspace}").strip() == sandboxed.owner


@pytest.mark.long
@pytest.mark.parametrize(
    ("dockerfile", "words", "fix"),
    [
        (
            "USER 0\nRUN mv /bin/sh /bin/gone",
            "does not start",
            "docker run --rm -it --entrypoint sh",
        ),
        ("USER 0\nRUN rm -f /usr/bin/python3*", "has no python3 in its login shell", "python3"),
        (
            "USER 0\nRUN mkdir -p /opt/own/bin && cp /bin/true /opt/own/bin/own-tool"
            "\nENV PATH=/opt/own/bin:/usr/bin:/bin",
            "has tools in /opt/own/bin (such as own-tool) that agents do not find",
            "/etc/profile.d/",
        ),
    ],
    ids=["not starting", "no python3", "custom tools not found"],
)
def test_an_image_that_does_not_do(sandboxed: Deployment, dockerfile: str, words: str, fix: str):
    with other_image(sandboxed, dockerfile):
        finding = said(findings(sandboxed), words)
    assert tag(sandboxed) in finding["what"]
    assert fix in finding["fix"]


@pytest.mark.long
def test_a_profile_that_the_engine_cannot_read(sandboxed: Deployment):
    profile = f"/opt/{sandboxed.name}/security/seccomp-tools.json"
    sandboxed.sh(f"cp {profile} {profile}.kept && echo garbage >{profile}")
    try:
        finding = said(findings(sandboxed), "does not start")
    finally:
        sandboxed.sh(f"mv {profile}.kept {profile}")
    assert "seccomp" in finding["what"]
    assert finding["fix"].startswith("./claw up")


@pytest.mark.long
@pytest.mark.parametrize(
    ("override", "words"),
    [
        ('group_add: !override ["54321"]', "the gateway may not use the engine"),
        ("environment: {DOCKER_HOST: unix:///nowhere.sock}", "the gateway cannot use the engine"),
        ("volumes: ['/dev/null:/usr/local/bin/docker']", "has no docker command line"),
        (
            "volumes: [{type: volume, source: other, target: /home/node/.openclaw/workspace}]",
            "the engine does not know the gateway's path /home/node/.openclaw/workspace",
        ),
    ],
    ids=["group of the socket", "no socket", "no docker", "a volume"],
)
def test_a_gateway_that_cannot_make_sandboxes(sandboxed: Deployment, override: str, words: str):
    project = f"/opt/{sandboxed.name}"
    file = f"{project}/docker-compose.override.yml"
    content = f"services: {{openclaw-gateway: {{{override}}}}}\nvolumes: {{other: {{}}}}\n"
    start = f"cd {project} && docker compose up -d"
    try:
        sandboxed.sh(f"cat >{file} <<'END'\n{content}END\n{start}")
        until(lambda: sandboxed.http() == 200, 120, "the gateway with the override")
        said(findings(sandboxed), words)
    finally:
        sandboxed.sh(f"rm {file}; {start}")
        until(lambda: sandboxed.http() == 200, 120, "the gateway as it was")
    assert findings(sandboxed, expect=0) == []
