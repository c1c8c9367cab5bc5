"""The gateway's image from npm: what it holds, what it hides, what a change rebuilds."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e.harness import ROOT, until
from tests.e2e.images_job import Job, Registry

pytestmark = [pytest.mark.engine, pytest.mark.whole]
BUILD = "Build the gateway image"
NODE = "library/node:24.21.0-bookworm-slim"
CANARIES = {name: f"canary-{name}-5d1c90" for name in ("npm", "pip", "proxy", "apt")}


@pytest.fixture(scope="module")
def job(engine: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    made = Job(tmp_path_factory.mktemp("npm"), f"images-{secrets.token_hex(3)}")
    assert BUILD in made.up(base_images="bootstrap")
    yield made
    made.remove()


def inside(job: Job, script: str, **tmpfs: str) -> str:
    closed = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
    run = {"entrypoint": ["sh"], "tmpfs": tmpfs}
    return lab.output(job.tag, ["-c", script], **closed, **run).strip()


def log(job: Job) -> str:
    return (job.project / "images/gateway.log").read_text()


def ran(job: Job, step: str) -> bool:
    """Whether the last build ran the step whose description contains `step`, or had it cached."""
    lines = log(job).splitlines()
    (number,) = {line.split()[0] for line in lines if "] RUN" in line and step in line}
    assert any(line.startswith((f"{number} DONE", f"{number} CACHED")) for line in lines)
    return f"{number} CACHED" not in lines


def uncached() -> list[str]:
    """Packages in an order of which the builder very likely has no layer from an earlier run."""
    return random.sample(["bc", "ed", "file", "jq", "less", "psmisc", "tree"], 6)


def test_it_is_as_openclaw_documents_its_own_image(job: Job) -> None:
    assert job.up(base_images="bootstrap") == []
    said = inside(
        job, "id -u; id -g; pwd; echo $HOME; node dist/index.js --version; openclaw --version"
    )
    assert said.splitlines()[:4] == ["1000", "1000", "/app", "/home/node"]
    assert [line.split()[1] for line in said.splitlines()[4:]] == ["2026.9.6", "2026.9.6"]
    assert lab.client().images.get(job.tag).attrs["Config"]["Entrypoint"] == ["tini", "-s", "--"]
    assert job.label("org.opencontainers.image.version") == "2026.9.6"


def test_its_health_is_the_gateways(job: Job) -> None:
    own = {f"/home/node/{name}": "uid=1000,gid=1000" for name in (".cache", ".openclaw")}
    check = "node /usr/local/lib/openclaw/healthcheck.mjs 2>/dev/null"
    start = "node dist/index.js gateway --port 18999 --allow-unconfigured >/tmp/log 2>&1 &"
    script = f"""{check} && echo early
        export OPENCLAW_GATEWAY_PORT=18999 OPENCLAW_GATEWAY_TOKEN=0123456789abcdef
        {start} for i in $(seq 600); do {check} && echo healthy && exit; sleep 1; done
        tail /tmp/log"""
    assert inside(job, script, **{"/tmp": "", **own}) == "healthy"


def test_a_changed_apt_list_rebuilds_neither_node_nor_openclaw(job: Job) -> None:
    settings: dict[str, Any] = {"base_images": "bootstrap", "gateway": {"apt_packages": ["jq"]}}
    assert job.planned(**settings) == [
        "Write the gateway's build context",
        BUILD,
        "Remove superseded images",
    ]
    assert job.up(**settings) == [
        "Write the gateway's build context",
        BUILD,
        "Remove superseded images",
    ]
    assert "jq-" in inside(job, "jq --version")
    assert not ran(job, "npm.sh install") and not ran(job, "packages.sh npm")
    assert len(job.images()) == 1


def test_secrets_of_a_build_leave_no_trace(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npmrc, pip = tmp_path / "npmrc", tmp_path / "pip.conf"
    npmrc.write_text(f"//registry.invalid/:_authToken={CANARIES['npm']}\n")
    pip.write_text(f"[global]\ntrusted-host = {CANARIES['pip']}.invalid\n")
    monkeypatch.setenv("NO_PROXY", f"{CANARIES['proxy']}.invalid")
    apt = tmp_path / "apt.conf"
    apt.write_text(f'Acquire::http::Proxy::{CANARIES["apt"]}.invalid "DIRECT";\n')
    monkeypatch.setenv("APT_CONFIG", str(apt))
    done = job.run(
        base_images="bootstrap",
        gateway={"apt_packages": uncached(), "pip_packages": ["humanize==4.14.0"]},
        build={"npm_configuration": str(npmrc), "pip_configuration": str(pip)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert inside(job, "python3 -c 'import humanize; print(humanize.__version__)'") == "4.14.0"
    assert ran(job, "packages.sh python3-pip") and ran(job, "pip.sh /out")

    canaries, before, size = [canary.encode() for canary in CANARIES.values()], b"", 0
    for part in lab.client().images.get(job.tag).save():  # layers are stored as they are
        assert not any(canary in before + part for canary in canaries)
        before, size = part[-100:], size + len(part)
    assert size > 100_000_000
    image = lab.client().images.get(job.tag)
    history = json.dumps([image.history(), image.attrs["Config"]])
    for text in (history, log(job), done.stdout, done.stderr):
        assert not any(canary in text for canary in CANARIES.values())
    assert inside(job, "env | grep -i -e proxy -e cert; find /run/secrets -type f") == ""


@pytest.mark.long
def test_a_browser_is_added_that_works_in_a_closed_container(job: Job) -> None:
    job.up(base_images="bootstrap", gateway={"install_browser": True})
    script = """import { chromium } from "/app/node_modules/playwright-core/index.mjs";
        import { existsSync } from "node:fs";
        const debian = "/usr/bin/chromium";
        const executablePath = existsSync(debian) ? debian : undefined;
        const browser = await chromium.launch({ args: ["--no-sandbox"], executablePath });
        const page = await browser.newPage();
        await page.setContent("<h1>seen</h1>");
        console.log(await page.textContent("h1"));
        await browser.close();"""
    mounts = dict.fromkeys(("/tmp", "/home/node/.cache"), "uid=1000,gid=1000")
    assert (
        inside(job, f"cat >/tmp/t.mjs <<'END'\n{script}\nEND\nnode /tmp/t.mjs", **mounts) == "seen"
    )


def test_packages_that_do_not_exist_are_named_and_the_old_image_stays(job: Job) -> None:
    before = job.image()
    for gateway, reason in (
        ({"pip_packages": ["humanize==99.0"]}, "Python package humanize==99.0 does not exist"),
        ({"apt_packages": ["jq=99"]}, "Version '99' for 'jq' was not found"),
    ):
        said = job.refused(base_images="bootstrap", gateway=gateway)
        (line,) = [line for line in said.splitlines() if "gateway image: " in line]
        assert reason in line
        assert job.image() == before


def test_a_release_that_does_not_exist_is_refused_before_anything_is_touched(job: Job) -> None:
    before = job.image()
    said = job.refused(base_images="bootstrap", gateway={"version": "2099.1.1"})
    assert "gateway.version 2099.1.1" in said and "no host was touched" in said
    assert job.image() == before


def test_a_killed_build_is_finished_by_the_next_run(job: Job) -> None:
    packages = uncached()
    settings: dict[str, Any] = {
        "base_images": "bootstrap",
        "gateway": {"apt_packages": packages},
    }
    job.up(base_images="bootstrap")
    before = job.image()
    assert BUILD in job.planned(**settings)
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pyinfra",
            "-y",
            str(job.directory / "inventory.py"),
            str(job.directory / "deploy.py"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    started = job.project / "images/gateway.log"
    text = started.read_text()
    until(
        lambda: started.read_text() != text and f"packages.sh {packages[0]}" in started.read_text(),
        120,
        "the build runs",
    )
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert job.image() == before
    assert BUILD in job.up(**settings)
    assert job.up(**settings) == []
    inside(job, f"dpkg-query --show {' '.join(packages)}")


@pytest.fixture(scope="module")
def registry(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that has the Node image of the default release, as Docker Hub has it."""
    job.up(base_images="bootstrap")
    tag = f"images-node:{secrets.token_hex(3)}"
    build = ["docker", "buildx", "build", "-q", "--load", "--target=node", "-t", tag]
    base = ["--build-arg", "BASE=openclaw-base:bookworm"]
    subprocess.run(  # the SDK speaks no BuildKit, which this Dockerfile needs
        [*build, *base, str(job.project / "images/gateway")],
        env={**os.environ, "DOCKER_HOST": f"unix://{lab.SOCKET}"},
        check=True,
    )
    running = Registry(tmp_path_factory.mktemp("registry"))
    running.push(tag, NODE)
    lab.client().images.remove(tag)
    yield running
    running.remove()


def test_a_registry_is_used_when_it_answers_and_not_missed_later(
    job: Job, registry: Registry, tmp_path: Path
) -> None:
    auto = {"registry": f"{registry.address}/library", "base_images": "auto"}
    job.up(base_images="bootstrap")
    assert job.up(**auto) == []  # made by bootstrap, and still good

    other = Job(tmp_path, f"{job.name}-registry")
    try:
        assert BUILD in other.up(**auto)
        base = other.label("openclaw-pyinfra.base")
        assert base.startswith(f"{registry.address}/{NODE}@sha256:")
        assert base.rpartition("@")[2] in other.lock.read_text()
        assert "2026.9.6" in inside(other, "openclaw --version")
        registry.stop()
        assert other.up(**auto) == []
        # What was pulled once is built upon again without the registry.
        assert BUILD in other.up(**auto, gateway={"apt_packages": ["jq"]})
        assert other.label("openclaw-pyinfra.base") == base
    finally:
        registry.start()
        other.remove()
