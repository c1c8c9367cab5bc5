"""The dependency tree of a release: what is accepted as one, where it is kept, who resolves it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit import lockfile as lock
from toolkit import npm, releases, trees
from toolkit.lockfile import LockError, Release
from toolkit.npm import ReleaseError

VERSION = "2026.10.1"
DIGEST, OTHER = ("sha512-" + letter * 86 + "==" for letter in "AB")
RELEASE = lock.read(Path("/nonexistent/openclaw.lock.yml")).releases["2026.9.6"]
NPM = """#!{python}
import os, sys
with open({log!r}, "a") as log:
    print(" ".join(sys.argv[1:]), file=log)
{body}
"""
Fake = Callable[..., Path]


def tree(**changes: Any) -> dict[str, Any]:
    """npm's lock file of a release with one dependency; a change is of that."""
    inner = "node_modules/openclaw/node_modules/inner"
    package = {"version": "1.2.3", "integrity": DIGEST, "license": "MIT", **changes}
    release = {"version": VERSION, "integrity": DIGEST, "dependencies": {"inner": "^1"}}
    root = {"name": "openclaw-tree", "version": "0.0.0", "dependencies": {"openclaw": VERSION}}
    packages = {"": root, "node_modules/openclaw": release, inner: package}
    return {"name": "openclaw-tree", "lockfileVersion": 3, "packages": packages}


@pytest.fixture(autouse=True)
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lock, "location", lambda: tmp_path / lock.NAME)
    monkeypatch.setattr(trees, "_answers", {})
    monkeypatch.setattr(releases, "_answers", {})
    return tmp_path


@pytest.fixture
def release() -> Release:
    return RELEASE.model_copy(update={"openclaw": DIGEST})


@pytest.fixture
def fake_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A stand-in for npm; returns the file that says how it was called."""

    def make(body: str) -> Path:
        program, log = tmp_path / "bin" / "npm", tmp_path / "calls"
        program.parent.mkdir(exist_ok=True)
        program.write_text(NPM.format(python=sys.executable, log=str(log), body=body))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return log

    return make


def writes(lockfile: dict[str, Any]) -> str:
    return f"open('package-lock.json', 'w').write({json.dumps(lockfile)!r})"


def test_the_default_release_has_a_tree_for_both_architectures() -> None:
    parsed = trees.parse(trees.of("2026.9.6", RELEASE), "2026.9.6", RELEASE.openclaw)
    packages = parsed.packages
    assert parsed.text == trees.of("2026.9.6", RELEASE)  # which is believed as it is
    assert len(packages) > 300
    for name in ("@lydell/node-pty-linux", "@koromix/koffi-linux", "sqlite-vec-linux"):
        assert {f"node_modules/openclaw/node_modules/{name}-{cpu}" for cpu in ("x64", "arm64")} <= (
            packages.keys()
        )
    assert "://" not in (trees.SHIPPED / "2026.9.6.json").read_text()


def test_a_release_without_a_tree_is_resolved_once_and_then_kept(
    fake_npm: Fake, inventory: Path, release: Release
) -> None:
    log = fake_npm(writes(tree(resolved="https://registry.invalid/inner.tgz")))
    text = trees.of(VERSION, release)
    assert trees.of(VERSION, release) == text
    (call,) = log.read_text().splitlines()
    assert "--ignore-scripts" in call and f"--before={release.resolved}" in call
    assert "registry.invalid" not in text and "license" not in text
    path = trees.record(VERSION, text)
    assert path == inventory / "openclaw.lock.d" / f"{VERSION}.json"
    log.unlink()
    assert trees.of(VERSION, release) == text == path.read_text()
    assert not log.exists()


def test_what_is_recorded_is_never_replaced(inventory: Path) -> None:
    (inventory / "openclaw.lock.d").mkdir()
    path = inventory / "openclaw.lock.d" / f"{VERSION}.json"
    path.write_text("mine")
    assert trees.record(VERSION, "other") == path
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "changes",
    [
        {"integrity": None},
        {"integrity": "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
        {"version": None},
        {"version": "1.2.3; touch X"},
        {"dependencies": {"a": "git+ssh://git@example.invalid/a.git"}},
        {"dependencies": {"a": "https://example.invalid/a.tgz"}},
        {"dependencies": {"a": "user/repository"}},
        {"dependencies": {"a": "file:../a"}},
        {"optionalDependencies": {"../a": "1"}},
        {"bin": {"a": "a\nb"}},
        {"os": ["linux\n"]},
        {"name": "-g"},
    ],
)
def test_a_package_that_is_not_pinned_by_its_content_is_refused(
    changes: dict[str, Any], fake_npm: Fake, release: Release
) -> None:
    fake_npm(writes(tree(**changes)))
    with pytest.raises(ReleaseError, match="cannot be pinned: ") as raised:
        trees.of(VERSION, release)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "path",
    [
        "node_modules/../../x",
        "/etc/x",
        "node_modules/openclaw/x",
        "node_modules/a;b",
        "node_modules/",
    ],
)
def test_a_place_outside_of_the_tree_is_refused(path: str, release: Release) -> None:
    lockfile = tree()
    lockfile["packages"][path] = {"version": "1.0.0", "integrity": DIGEST}
    with pytest.raises(ValueError):
        trees.parse(json.dumps(lockfile), VERSION, DIGEST)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "JSON"),
        ("[]", ""),
        ('{"packages": {}}', "not the tree of openclaw"),
        (json.dumps(tree(integrity="x")), "integrity"),
        (json.dumps(tree()).replace(DIGEST, OTHER), "the lock has"),
        (json.dumps(tree()).replace(VERSION, "2026.9.9"), "not the tree of openclaw"),
    ],
)
def test_a_recorded_tree_that_is_not_the_release_s_is_named(
    text: str, reason: str, inventory: Path, release: Release
) -> None:
    path = trees.record(VERSION, text)
    with pytest.raises(LockError, match=f"(?s){path}: .*{reason}"):
        trees.of(VERSION, release)


def test_without_npm_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, release: Release
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ReleaseError) as raised:
        trees.of(VERSION, release)
    assert f"python -m toolkit.releases {VERSION}" in raised.value.fix


def test_an_npm_that_does_not_answer_is_an_error_for_every_host_at_once(
    fake_npm: Fake, monkeypatch: pytest.MonkeyPatch, release: Release
) -> None:
    """What npm has started must not keep the error back either."""
    hang = "import subprocess; subprocess.run(['sleep', '1000'])"
    log = fake_npm(hang)
    monkeypatch.setattr(npm, "VIEW_SECONDS", 0.5)
    monkeypatch.setattr(trees, "TIMEOUT_SECONDS", 0.5)
    for _ in range(2):
        with pytest.raises(ReleaseError, match=r"has not answered within 0\.5 s"):
            releases.resolve(VERSION)
        with pytest.raises(ReleaseError, match=r"has not answered within 0\.5 s"):
            trees.of(VERSION, release)
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "answer",
    ['{"dist.integrity": "x", "engines.node": "1"}', '{"dist.integrity": "x"}', "[1]", "{"],
)
def test_an_npm_that_answers_nonsense_is_an_error(answer: str, fake_npm: Fake) -> None:
    fake_npm(f"print({answer!r} if sys.argv[2].startswith('openclaw@') else '\"24.1.0\"')")
    with pytest.raises(ReleaseError):
        releases.resolve(VERSION)
