"""Images from a real registry on loopback and from a real git repository."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab import hosts as lab
from tests.e2e.images_job import Job, Registry, refusing_registry

pytestmark = [pytest.mark.engine, pytest.mark.whole]
BUILD = "Build the gateway image"
DOCKERFILE = """FROM scratch
ARG OPENCLAW_IMAGE_APT_PACKAGES
ARG GIT_COMMIT
ARG FLAVOUR
COPY content /content
LABEL apt="$OPENCLAW_IMAGE_APT_PACKAGES" commit="$GIT_COMMIT" flavour="$FLAVOUR"
"""


@pytest.fixture(scope="module")
def registry(engine: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    running = Registry(tmp_path_factory.mktemp("registry"))
    yield running
    running.remove()


@pytest.fixture
def job(engine: object, tmp_path: Path) -> Iterator[Job]:
    made = Job(tmp_path, f"images-{secrets.token_hex(3)}")
    yield made
    made.remove()


def make_image(tag: str, content: str, architecture: str = "amd64") -> None:
    """Make an image that differs by its content, as an archive that `docker save` would write."""
    layer = packed({"content": content.encode()})
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Labels": {"content": content}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    files = {"manifest.json": json.dumps(manifest).encode(), "layer.tar": layer}
    lab.client().images.load(packed({**files, "config.json": json.dumps(config).encode()}))


def packed(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def push(registry: Registry, path: str, content: str, architecture: str = "amd64") -> str:
    tag = f"images-test:{secrets.token_hex(3)}"
    make_image(tag, content, architecture)
    digest = registry.push(tag, path)
    lab.client().images.remove(tag)
    return digest


def locked(job: Job) -> dict:
    return yaml.safe_load(job.lock.read_text())


def test_a_registry_image_is_pinned_by_digest_and_stays_when_the_tag_moves(
    registry: Registry, job: Job
) -> None:
    reference = f"{registry.address}/openclaw:1"
    first = push(registry, "openclaw:1", "first")
    gateway = {"source": "image", "image": reference}

    assert BUILD in job.planned(gateway=gateway)
    assert BUILD in job.up(gateway=gateway)
    assert job.label("openclaw-pyinfra.base") == f"{reference}@{first}"
    assert job.label("content") == "first"
    assert locked(job)["images"] == {reference: first}

    second = push(registry, "openclaw:1", "second")
    assert second != first
    assert job.planned(gateway=gateway) == []
    assert job.up(gateway=gateway) == []

    job.lock.unlink()  # without a lock the host stays on what it has
    assert job.up(gateway=gateway) == []

    job.lock.write_text(yaml.safe_dump({"images": {reference: second}}))
    before = job.image()
    assert BUILD in job.planned(gateway=gateway)
    changed = job.up(gateway=gateway)
    assert BUILD in changed and "Remove superseded images" in changed
    assert job.label("content") == "second"
    assert before not in job.images()
    shown = [name for one in lab.client().images.list() for name in one.attrs["RepoDigests"] or ()]
    assert f"{registry.address}/openclaw@{second}" in shown
    assert not any(first in name for name in shown)
    registry.stop()
    try:  # nothing to build: the registry is not asked
        assert job.up(gateway=gateway) == []
    finally:
        registry.start()


def test_an_image_in_use_outlives_its_tag(registry: Registry, job: Job) -> None:
    push(registry, "used:1", "one")
    push(registry, "used:2", "two")
    job.up(gateway={"source": "image", "image": f"{registry.address}/used:1"})
    old = job.image()
    container = lab.client().containers.create(job.tag, "/x")
    try:
        job.up(gateway={"source": "image", "image": f"{registry.address}/used:2"})
        assert old in job.images()
        assert job.up(gateway={"source": "image", "image": f"{registry.address}/used:2"}) == []
    finally:
        container.remove()


def test_an_image_of_another_architecture_is_refused(registry: Registry, job: Job) -> None:
    host = lab.client().version()["Arch"]
    other = {"amd64": "arm64", "arm64": "amd64"}[host]
    push(registry, "foreign:1", "foreign", other)
    said = job.refused(gateway={"source": "image", "image": f"{registry.address}/foreign:1"})
    assert f"{registry.address}/foreign:1 is for {other}, this host is {host}" in said
    assert not job.image()


def test_a_missing_image_is_named_and_the_old_one_stays(registry: Registry, job: Job) -> None:
    push(registry, "kept:1", "kept")
    job.up(gateway={"source": "image", "image": f"{registry.address}/kept:1"})
    before = job.image()
    said = job.refused(gateway={"source": "image", "image": f"{registry.address}/kept:9"})
    assert f"image {registry.address}/kept:9: no such image in the registry" in said
    assert job.image() == before


@pytest.mark.parametrize(
    ("repository", "reason"),
    [
        ("limited/openclaw", "429 toomanyrequests"),
        ("private/openclaw", "wants a login (unauthorized)"),
        ("missing/openclaw", "no such image in the registry"),
    ],
)
def test_the_reason_of_a_refused_pull_is_named(job: Job, repository: str, reason: str) -> None:
    with refusing_registry() as address:
        said = job.refused(gateway={"source": "image", "image": f"{address}/{repository}:1"})
    assert reason in said


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "openclaw.git"
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    commit(work, "first")
    git(work, "clone", "-q", "--bare", ".", str(path))
    git(work, "remote", "add", "origin", str(path))
    return path


def git(directory: Path, *args: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    command = ["git", "-C", str(directory), *identity, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(work: Path, content: str) -> str:
    (work / "Dockerfile").write_text(DOCKERFILE)
    (work / "content").write_text(content)
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", content)
    return git(work, "rev-parse", "HEAD")


def test_a_git_checkout_is_built_with_its_own_dockerfile_and_pinned_by_commit(
    repository: Path, job: Job
) -> None:
    gateway = {"source": "git", "repository": f"file://{repository}", "apt_packages": ["jq", "git"]}
    first = git(repository, "rev-parse", "main")

    assert BUILD in job.planned(gateway=gateway)
    assert BUILD in job.up(gateway=gateway)
    assert job.label("apt") == "jq git"
    assert job.label("commit") == first
    assert locked(job)["repositories"] == {f"file://{repository}#main": first}
    assert job.up(gateway=gateway) == []

    second = commit(repository.parent / "work", "second")
    git(repository.parent / "work", "push", "-q", "origin", "main")
    assert job.up(gateway=gateway) == []  # the branch moved, the lock did not

    build = {"arguments": {"FLAVOUR": "sour"}}
    assert BUILD in job.up(gateway=gateway, build=build)
    assert job.label("flavour") == "sour"
    assert job.label("commit") == first

    job.lock.unlink()
    assert BUILD in job.up(gateway={**gateway, "ref": second})
    assert job.label("commit") == second
    assert not job.lock.exists()  # a commit needs no lock


def test_a_git_ref_that_does_not_exist_is_named(repository: Path, job: Job) -> None:
    gateway = {"source": "git", "repository": f"file://{repository}", "ref": "no-such-branch"}
    said = job.refused(gateway=gateway)
    assert "gateway.ref no-such-branch: fatal: couldn't find remote ref no-such-branch" in said
    assert not job.image()
