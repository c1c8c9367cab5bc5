"""The sandbox images on a real engine: what they hold, what their probes refuse, what goes away."""

from __future__ import annotations

import os
import random
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import hosts as lab
from tests.e2e.harness import ROOT, until
from tests.e2e.images_job import Registry
from tests.e2e.sandbox.images_job import ALL, AT_HOME, CLOSED, SandboxJob

pytestmark = [pytest.mark.engine, pytest.mark.whole]
BASE = "openclaw-pyinfra.base"
BUILD, PRUNE = "Build the sandbox images", "Remove superseded sandbox images"
WRITE = "Write the sandbox images' build contexts"


@pytest.fixture(scope="module")
def job(engine: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxJob]:
    made = SandboxJob(tmp_path_factory.mktemp("sandbox"), f"sandbox-{secrets.token_hex(3)}")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def minimal(job: SandboxJob) -> SandboxJob:
    assert BUILD in job.planned()
    assert BUILD in job.up()
    return job


def inside(image: str, script: str) -> str:
    options = {**CLOSED, **AT_HOME, "network_mode": "none"}
    return lab.output(image, ["sh", "-lc", script], **options).strip()


def probes(job: SandboxJob) -> list[object]:
    return [*lab.labelled(f"openclaw-pyinfra.probe={job.name}")]


def test_the_minimal_image_has_what_openclaw_needs_and_runs_closed(minimal: SandboxJob) -> None:
    assert minimal.up() == []
    assert minimal.planned() == []
    assert minimal.label("openclaw-pyinfra.image") == "sandbox"
    script = "id -u; id -un; rg --version | head -n1; python3 -c 'print(6*7)'"
    said = inside(minimal.tagged(), script)
    assert said.splitlines()[:2] == ["1000", "sandbox"]
    assert "ripgrep" in said and said.endswith("42")


def test_a_tool_that_does_not_work_is_named_and_the_old_image_stays(
    minimal: SandboxJob, tmp_path: Path
) -> None:
    before, there = minimal.of(), minimal.images()
    own = tmp_path / "Dockerfile"
    own.write_text(
        f"FROM {minimal.tagged()}\nUSER 0\n"
        "RUN rm /usr/bin/jq && printf '#!/bin/sh\\necho no licence >&2; exit 3\\n' >/usr/bin/rg\n"
    )
    image = {"minimal": {"source": "dockerfile", "dockerfile": str(own)}}
    said = minimal.refused(sandbox={"images": image})
    assert re.search(r"sandbox image minimal: jq: `jq --version` failed: .*not found", said)
    assert "sandbox image minimal: ripgrep: `rg --version` failed: no licence" in said
    assert "python3" not in said.partition("sandbox image minimal")[2]
    assert minimal.of() == before
    assert minimal.images() == there  # what did not pass is not kept
    assert probes(minimal) == []
    assert minimal.up() == [WRITE]  # back to what passed


def test_packages_that_do_not_exist_are_named_with_their_setting(minimal: SandboxJob) -> None:
    before = minimal.of()
    images = {"minimal": {"apt_packages": ["jq=99"]}}
    said = minimal.refused(sandbox={"images": images})
    (line,) = [line for line in said.splitlines() if "sandbox image minimal: " in line]
    assert "Version '99' for 'jq' was not found (sandbox.images.minimal.apt_packages)" in line
    assert minimal.of() == before


def test_a_superseded_image_goes_when_no_container_uses_it(minimal: SandboxJob) -> None:
    minimal.up()
    first = minimal.of()
    changed = {"container": {"pids_limit": 200}}
    assert minimal.planned(sandbox=changed) == [BUILD, PRUNE]
    assert minimal.up(sandbox=changed) == [BUILD, PRUNE]
    second = minimal.of()
    assert second != first and minimal.images() == [second]
    container = lab.client().containers.create(minimal.tagged())
    try:
        assert minimal.planned() == [BUILD]
        assert minimal.up() == [BUILD]
        assert second in minimal.images()
        assert minimal.up() == []
    finally:
        container.remove()
    assert minimal.planned() == [PRUNE]
    assert minimal.up() == [PRUNE]
    assert second not in minimal.images()


@pytest.mark.long
def test_a_killed_build_is_finished_by_the_next_run(minimal: SandboxJob) -> None:
    minimal.up()
    before, log = minimal.of(), minimal.project / "images/sandbox-minimal.log"
    packages = random.sample(["bc", "ed", "file", "less", "psmisc", "tree"], 5)
    changed = {"images": {"minimal": {"apt_packages": packages}}}
    assert BUILD in minimal.planned(sandbox=changed)  # writes the inventory
    command = [sys.executable, "-m", "pyinfra", "-y"]
    running = subprocess.Popen(
        [*command, str(minimal.directory / "inventory.py"), str(minimal.directory / "deploy.py")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: f"packages.sh {packages[0]}" in log.read_text(), 120, "the build runs")
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert minimal.of() == before
    assert BUILD in minimal.up(sandbox=changed)
    assert minimal.up(sandbox=changed) == []
    inside(minimal.tagged(), f"dpkg-query --show {' '.join(packages)}")
    assert probes(minimal) == []


@pytest.fixture(scope="module")
def everything(job: SandboxJob) -> SandboxJob:
    job.up(sandbox=ALL)
    return job


@pytest.mark.long
def test_all_images_at_once_and_then_nothing(everything: SandboxJob) -> None:
    assert everything.up(sandbox=ALL) == []
    for kind in ("common", "browser"):
        label = everything.label("openclaw-pyinfra.image", kind)
        assert label == f"sandbox-{kind}"


@pytest.mark.long
def test_every_toolchain_works_in_a_closed_container(everything: SandboxJob) -> None:
    said = inside(
        everything.tagged("common"),
        """set -e
        mkdir go rust node
        (cd go; printf 'package main\\nimport ("fmt"; "net/http")\\n' >main.go
         echo 'func main() { fmt.Println("go", http.StatusOK) }' >>main.go; go run main.go)
        (cd rust; cargo -q init --vcs none --name made; cargo -q run)
        python3 -m venv made; made/bin/python -m pip --version | cut -d' ' -f1
        (cd node; echo '{"name": "made", "scripts": {"say": "node -p 6*7"}}' >package.json
         pnpm install --offline >/dev/null; pnpm --silent run say
         npm run --silent say; npx --version)
        bun -e 'console.log("bun", 6 * 7)'
        echo 'int main(void) { return 0; }' >c.c; gcc -o c c.c && ./c && echo gcc
        ls -A""",
    )
    lines = said.splitlines()
    assert lines[:4] == ["go 200", "Hello, world!", "pip", "42"]
    assert "bun 42" in lines and "gcc" in lines
    # What tools keep is in one place of the workspace.
    assert {name for name in lines if name.startswith(".")} == {".cache"}


@pytest.mark.long
def test_a_tool_that_is_left_out_is_not_there(everything: SandboxJob) -> None:
    common = {"enabled": True, "go": False, "rust": False, "bun": False, "python": False}
    everything.up(sandbox={**ALL, "images": {**ALL["images"], "common": common}})
    tools = "for tool in node pnpm gcc go cargo bun pip3; do command -v $tool; done; true"
    said = inside(everything.tagged("common"), tools)
    assert [Path(line).name for line in said.splitlines()] == ["node", "pnpm", "gcc"]


@pytest.mark.long
def test_debian_and_images_of_ones_own_come_from_a_registry(
    minimal: SandboxJob, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    other = SandboxJob(tmp_path, f"{minimal.name}-registry")
    try:
        debian = registry.push("openclaw-base:bookworm", "library/debian:bookworm-slim")
        auto = {"registry": f"{registry.address}/library", "base_images": "auto"}
        assert BUILD in other.planned(**auto)
        assert BUILD in other.up(**auto)
        reference = f"{registry.address}/library/debian:bookworm-slim"
        assert other.label(BASE) == f"{reference}@{debian}"
        assert f"{reference}: {debian}" in other.lock.read_text()
        assert "python3" in inside(other.tagged(), "command -v python3")

        own = f"{registry.address}/own/tools:1"
        digest = registry.push(minimal.tagged(), "own/tools:1")
        sandbox = {"images": {"minimal": {"source": "image", "image": own}}}
        assert BUILD in other.up(sandbox=sandbox)
        assert other.label(BASE) == f"{own}@{digest}"
        registry.stop()  # nothing to build: the registry is not asked
        assert other.up(sandbox=sandbox) == []
        sandbox["images"]["minimal"]["image"] = f"{registry.address}/own/tools:2"
        assert f"the registry {registry.address}" in other.refused(sandbox=sandbox)
    finally:
        registry.remove()
        other.remove()
