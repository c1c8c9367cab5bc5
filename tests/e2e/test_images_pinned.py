"""What a build takes from npm: the packages of the lock, by content, and whose scripts run."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e.harness import ROOT
from tests.e2e.images_job import DEPLOY, Job
from tests.e2e.npm_registry import Mirror, Own, serving

pytestmark = [pytest.mark.engine, pytest.mark.whole]
IMAGES = ROOT / "templates" / "images"
WHO = "node -e 'require(`fs`).writeFileSync(`ran`, `uid ${process.getuid()}`)'"
RELEASE: dict[str, Any] = {
    "name": "openclaw",
    "version": "1.0.0",
    "dependencies": {"inner": "^1.0.0"},
    "optionalDependencies": {"inner-linux": "1.0.0", "inner-win32": "1.0.0"},
    "scripts": {"postinstall": WHO},
}
INNER: dict[str, Any] = {"name": "inner", "version": "1.0.0", "scripts": {"postinstall": WHO}}
NATIVE = [{"name": f"inner-{os}", "version": "1.0.0", "os": [os]} for os in ("linux", "win32")]
WITHOUT_CACHE = """
from operations.images import gateway
made = gateway.npm_context
cache = "--mount=type=cache,id=openclaw-npm,"

def context(*arguments):
    files = made(*arguments)
    return {name: text.replace(cache, "--mount=type=tmpfs,") for name, text in files.items()}

gateway.npm_context = context
"""


@pytest.fixture(scope="module")
def image(engine: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The gateway's image, without a gateway."""
    job = Job(tmp_path_factory.mktemp("pinned"), f"pinned-{secrets.token_hex(3)}")
    job.up(base_images="bootstrap")
    yield job.tag
    job.remove()


@pytest.fixture
def registry() -> Iterator[Own]:
    """A registry with a release, what it needs, and native packages for two systems."""
    text = {"text": "x" * 1000}
    made = Own([(RELEASE, text), (INNER, text), *((native, text) for native in NATIVE)])
    with serving(made):
        yield made


def lockfile(registry: Own) -> str:
    packages: dict[str, Any] = {"": {"dependencies": {"openclaw": "1.0.0"}}}
    for name, manifest in registry.manifests.items():
        place = f"node_modules/{'' if name == 'openclaw' else 'openclaw/node_modules/'}{name}"
        packages[place] = {
            **{key: value for key, value in manifest.items() if key not in ("name", "scripts")},
            "integrity": registry.integrity[name],
            "hasInstallScript": "scripts" in manifest,
            "optional": "os" in manifest,
        }
    return json.dumps({"lockfileVersion": 3, "requires": True, "packages": packages})


def install(
    image: str, registry: Own, directory: Path, then: str = "true", text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the steps of a build in a container of the gateway's image, without npm's cache."""
    (directory / "package-lock.json").write_text(text or lockfile(registry))
    (directory / "npmrc").write_text(f"registry={registry.url}/\nfetch-retries=0\n")
    mounts = {
        IMAGES / "steps/npm.sh": "/run/build/npm.sh",
        IMAGES / "steps/tree.mjs": "/run/build/tree.mjs",
        directory / "package-lock.json": "/run/build/package-lock.json",
        directory / "npmrc": "/run/secrets/npmrc",
    }
    script = f"""set -e
        sh /run/build/npm.sh install /run/build/package-lock.json /opt/tree openclaw
        setpriv --reuid nobody --regid nogroup --clear-groups \\
          sh /run/build/npm.sh scripts /opt/tree openclaw
        cd /opt/tree/node_modules/openclaw && {then}"""
    return subprocess.run(
        ["docker", "run", "--rm", "--network=host", "--user=0", "--env=no_proxy=127.0.0.1",
         *(f"--volume={source}:{target}:ro" for source, target in mounts.items()),
         "--entrypoint=sh", image, "-c", script],
        env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": f"unix://{lab.SOCKET}"},
        capture_output=True,
        text=True,
    )  # fmt: skip


def explained(log: str, directory: Path) -> str:
    """What the run says of a build with such a log."""
    (directory / "log").write_text(log)
    script = f". {IMAGES / 'explain.sh'}; explain {directory / 'log'}"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout


def test_only_listed_install_scripts_run_and_as_nobody(
    image: str, registry: Own, tmp_path: Path
) -> None:
    done = install(image, registry, tmp_path, "ls node_modules; cat ran")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == ["inner", "inner-linux", "uid 65534"]
    done = install(image, registry, tmp_path, "ls node_modules/inner")
    assert done.stdout.split()[-2:] == ["package.json", "text"]


@pytest.mark.parametrize("package", ["openclaw", "inner", "inner-linux"])
def test_a_mirror_that_changes_one_byte_of_a_package_is_noticed_and_the_package_named(
    package: str, image: str, registry: Own, tmp_path: Path
) -> None:
    """npm itself would leave an optional package out and say nothing."""
    registry.spoiled.add(f"/{package}-1.0.0.tgz")
    done = install(image, registry, tmp_path)
    assert done.returncode == 1
    said = explained(done.stderr, tmp_path)
    assert said.startswith("refused: ") and f"{package}@1.0.0" in said


def test_a_package_that_breaks_before_its_digest_is_known_is_named(
    image: str, registry: Own, tmp_path: Path
) -> None:
    registry.tarballs["inner"] = registry.tarballs["inner"][:200] + b"x" * 100_000
    done = install(image, registry, tmp_path)
    assert done.returncode == 1
    assert explained(done.stderr, tmp_path).startswith("refused: npm package inner@1.0.0: ")


def test_a_mirror_that_lies_about_the_digest_too_is_noticed(
    image: str, registry: Own, tmp_path: Path
) -> None:
    text = lockfile(registry)
    registry.tarballs["inner"] = registry.tarballs["openclaw"]
    registry.integrity["inner"] = registry.integrity["openclaw"]
    done = install(image, registry, tmp_path, text=text)
    assert done.returncode == 1
    said = explained(done.stderr, tmp_path)
    assert said.startswith("refused: npm package inner@1.0.0: ")
    assert f"found {registry.integrity['inner']}" in said


def test_a_package_that_the_registry_has_no_more_is_named(
    image: str, registry: Own, tmp_path: Path
) -> None:
    registry.gone.add("inner-linux")
    done = install(image, registry, tmp_path)
    assert done.returncode == 1
    assert "inner-linux@1.0.0 cannot be fetched" in explained(done.stderr, tmp_path)


class ColdJob(Job):
    """A job whose builds do not find npm's cache of earlier ones, which are pinned as well."""

    deploy = WITHOUT_CACHE + DEPLOY


@pytest.mark.long
@pytest.mark.parametrize("package", ["zod/-/zod-", "sqlite-vec-linux-x64/-/"])
def test_a_real_build_from_a_mirror_with_one_other_byte_fails_and_names_the_package(
    package: str, engine: object, tmp_path: Path
) -> None:
    job = ColdJob(tmp_path, f"pinned-{secrets.token_hex(3)}")
    bridge = lab.client().networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    mirror = Mirror()
    mirror.spoiled.add(package)
    (tmp_path / "npmrc").write_text("")
    with serving(mirror, bridge):
        (tmp_path / "npmrc").write_text(f"registry={mirror.url}/\nnoproxy={bridge}\n")
        settings = {"base_images": "bootstrap", "build": {"npm_configuration": f"{tmp_path}/npmrc"}}
        said = job.refused(**settings)
    assert len(mirror.served) > 100
    name = package.partition("/")[0]
    (line,) = [line for line in said.splitlines() if "gateway image: refused: " in line]
    assert f"{name}@" in line
    assert not job.image()


@pytest.mark.long
def test_a_release_that_no_lock_knows_is_resolved_once_for_all(
    engine: object, tmp_path: Path
) -> None:
    job = Job(tmp_path, f"pinned-{secrets.token_hex(3)}")
    other = {"base_images": "bootstrap", "gateway": {"version": "2026.8.2"}}
    try:
        job.up(**other)
        recorded = job.directory / "openclaw.lock.d" / "2026.8.2.json"
        text = recorded.read_text()
        assert "://" not in text
        assert job.up(**other) == []
        said = lab.output(job.tag, ["--version"], entrypoint=["openclaw"])
        assert "2026.8.2" in said
        recorded.write_text(text.replace("sha512-", "sha512-AAAA", 1))
        said = job.refused(**other)
        assert f"lock {recorded}" in said and "no host was touched" in said
    finally:
        job.remove()
