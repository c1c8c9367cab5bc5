"""Facts in, commands out: the gateway's image."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations.base import snapshot, templates
from operations.images import (
    definitions,
    gateway,
    identity,
    pipeline,
    planning,
    preflight,
    reachability,
    state,
)
from operations.images import stage as images
from tests.operations.hosts import Command, FakeHost, at, commands, whole
from toolkit import lockfile, trees
from toolkit.lockfile import Lock
from toolkit.settings import Settings

NONE: dict[str, str] = {"images": "", "packages": ""}
GATEWAY = images.IMAGES
NODE = "docker.io/library/node:24.21.0-bookworm-slim"
DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
FOREIGN, GOOD, NEW, OLD = whole("foreign"), whole("good"), whole("new"), whole("old")
COMMIT = "c" * 40


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / lockfile.NAME
    monkeypatch.setattr(lockfile, "location", lambda: path)
    return path


@pytest.fixture
def default_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "settings_for", lambda host: Settings())


def image(inputs: str, base: str, tags: tuple[str, ...] = ("openclaw:local",), **more: str) -> str:
    name, deployment = more.get("id", whole("aa")), more.get("deployment", "openclaw")
    return f"image {name}|{json.dumps(tags)}|{inputs}|{base}|{deployment}|<no value>\n"


def facts(*lines: str, packages: str = "") -> dict[str, str]:
    return {"images": "".join(lines), "packages": packages}


def bootstrapped(settings: Settings) -> str:
    """The gateway's image as a bootstrapped build leaves it."""
    base = identity.bootstrapped_base()
    release = lockfile.read().releases[settings.gateway.version]
    context = gateway.npm_context(settings, release, base)
    return image(identity.inputs(context, base), base.label)


def from_registry(settings: Settings, digest: str) -> str:
    base = identity.Base(NODE, digest)
    release = lockfile.read().releases[settings.gateway.version]
    context = gateway.npm_context(settings, release, base)
    return image(identity.inputs(context, base), base.label)


def base_image() -> str:
    base = identity.bootstrapped_base()
    return image(base.digest or "", "<no value>", (base.reference,), id=whole("bb"), deployment="")


def settings(**values: Any) -> Settings:
    return Settings.model_validate({"base_images": "bootstrap", **values})


def build(there: dict[str, str], *later: dict[str, str], **values: Any) -> list[Command]:
    return commands(pipeline.built, there, *later, settings=settings(**values), images=GATEWAY)


def test_on_a_bare_host_the_base_is_made_with_its_tool_and_then_the_image() -> None:
    tool, base = commands(pipeline.base_made, NONE, settings=settings())
    assert tool == "sh -s -- mmdebstrap debian-archive-keyring"
    assert "--variant=minbase" in base.stdin and "bookworm" in base.stdin
    (built,) = build(facts(base_image()))
    assert "docker buildx" in built.stdin and "--tag openclaw:local" in built.stdin


def test_an_image_of_the_same_inputs_is_not_built_again() -> None:
    there = facts(bootstrapped(settings()))
    assert build(there) == []
    assert commands(pipeline.base_made, there, settings=settings()) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"gateway": {"apt_packages": ["jq"]}},
        {"gateway": {"pip_packages": ["humanize==4.14.0"]}},
        {"gateway": {"install_browser": True}},
    ],
)
def test_what_the_image_holds_is_part_of_its_inputs(changed: dict[str, Any]) -> None:
    there = facts(bootstrapped(settings()), base_image())
    assert len(build(there, **changed)) == 1
    assert commands(pipeline.base_made, there, settings=settings(**changed)) == []


@pytest.mark.parametrize(
    "changed", [{"gateway": {"port": 19000}}, {"trust_host_cas": False}, {"time_zone": "UTC"}]
)
def test_what_the_image_does_not_hold_is_not(changed: dict[str, Any]) -> None:
    assert build(facts(bootstrapped(settings())), **changed) == []


def test_a_changed_release_changes_the_inputs(own_lock: Path) -> None:
    there = facts(bootstrapped(settings()))
    release = lockfile.read().releases["2026.9.6"]
    lockfile.record(releases={"2026.10.1": release}, path=own_lock)
    trees.record("2026.10.1", trees.of("2026.9.6", release).replace("2026.9.6", "2026.10.1"))
    (built,) = build(there, gateway={"version": "2026.10.1"})
    assert "sh -s" in built


def test_a_changed_dependency_changes_the_inputs(own_lock: Path) -> None:
    there = facts(bootstrapped(settings()))
    assert build(there) == []
    text = trees.of("2026.9.6", lockfile.read().releases["2026.9.6"])
    path = own_lock.parent / trees.NAME / "2026.9.6.json"
    path.parent.mkdir()
    place = '"node_modules/openclaw/node_modules/zod": {"version": "'
    assert f"{place}4" in text
    path.write_text(text.replace(f"{place}4", f"{place}5"))
    (built,) = build(there)
    assert "sh -s" in built


def test_a_tree_that_was_resolved_is_recorded_when_the_image_is_built(own_lock: Path) -> None:
    release = lockfile.read().releases["2026.9.6"]
    lockfile.record(releases={"2026.10.1": release}, path=own_lock)
    text = trees.of("2026.9.6", release).replace("2026.9.6", "2026.10.1")
    key = ("2026.10.1", release.openclaw, release.resolved)
    path = own_lock.parent / trees.NAME / "2026.10.1.json"
    trees._answers[key] = text
    try:
        build(facts(base_image()), gateway={"version": "2026.10.1"})
    finally:
        del trees._answers[key]
    assert path.read_text() == text


def test_the_tag_is_the_deployment_s() -> None:
    assert images.tag(Settings().name) == "openclaw:local"
    (built,) = build(facts(base_image()), name="second")
    assert "--tag second:local" in built.stdin
    assert "openclaw-pyinfra.deployment=second" in built.stdin


def test_secrets_and_arguments_are_named_not_shown() -> None:
    (built,) = build(
        facts(base_image()),
        gateway={"source": "npm"},
        build={"npm_configuration": "/root/.npmrc", "pip_configuration": "/root/pip.conf"},
    )
    assert "id=npmrc,src=/root/.npmrc" in built.stdin
    assert "id=pip-conf,src=/root/pip.conf" in built.stdin
    assert built == "sh -s"


@pytest.mark.parametrize("trust", [True, False])
def test_the_hosts_cas_and_proxies_reach_builds_only_when_they_may(trust: bool) -> None:
    (built,) = build(facts(base_image()), trust_host_cas=trust)
    assert ("id=ca," in built.stdin) is trust
    assert ("\n  export_proxies\n" in built.stdin) is trust


def test_a_registry_base_is_pulled_pinned_and_recorded(own_lock: Path) -> None:
    registry = {"base_images": "registry"}
    pulled = facts(f'pulled {NODE} ["node@{DIGEST}"]\n')
    pull, built = build(NONE, pulled, **registry)
    assert f"docker pull {NODE}" in pull.stdin
    assert f"export BASE=docker.io/library/node@{DIGEST}" in built.stdin
    assert "apt-sources" not in built.stdin
    assert lockfile.read(own_lock).images == {NODE: DIGEST}

    assert build(facts(from_registry(settings(**registry), DIGEST)), **registry) == []


def test_a_recorded_digest_is_pulled_by_that_digest(own_lock: Path) -> None:
    lockfile.record(images={NODE: DIGEST}, path=own_lock)
    pull, built = build(NONE, base_images="registry")
    assert f"docker pull docker.io/library/node@{DIGEST}" in pull.stdin
    assert f"node@{DIGEST}" in built.stdin

    (built,) = build(facts(f'pulled {NODE} ["node@{DIGEST}"]\n'), base_images="registry")
    assert "docker buildx" in built.stdin


def test_another_digest_in_the_lock_is_a_change(own_lock: Path) -> None:
    there = facts(from_registry(settings(base_images="registry"), DIGEST))
    assert build(there, base_images="registry") == []
    lockfile.record(images={NODE: OTHER}, path=own_lock)
    assert len(build(there, base_images="registry")) == 2


@pytest.mark.parametrize(
    ("answer", "chosen"), [("reachable", "registry"), ("Could not resolve 'x'", "bootstrap")]
)
def test_auto_asks_the_registry_once(
    answer: str, chosen: str, monkeypatch: pytest.MonkeyPatch, default_settings: None
) -> None:
    asked = []

    def ask(host: Any, script: str) -> str:
        asked.append(script)
        return answer

    monkeypatch.setattr(snapshot, "run_quietly", ask)
    auto = settings(base_images="auto")
    with ctx_host.use(FakeHost(NONE)):
        assert planning.plan(auto, definitions.GATEWAY).base.bootstrapped == (chosen == "bootstrap")
        assert planning.plan(auto, definitions.GATEWAY).base.bootstrapped == (chosen == "bootstrap")
    assert len(asked) == 1 and "https://registry-1.docker.io/v2/" in asked[0]


@pytest.mark.parametrize("there", ["bootstrap", "registry"])
def test_auto_keeps_what_there_is_without_asking(there: str, monkeypatch: Any) -> None:
    monkeypatch.delattr(snapshot, "run_quietly")
    auto = settings(base_images="auto")
    made = bootstrapped(auto) if there == "bootstrap" else from_registry(auto, DIGEST)
    assert build(facts(made), base_images="auto") == []
    # and builds on the base that is still there
    base = base_image() if there == "bootstrap" else f'pulled {NODE} ["node@{DIGEST}"]\n'
    (built,) = build(facts(made, base), base_images="auto", gateway={"apt_packages": ["jq"]})
    assert ("openclaw-base" in built.stdin) is (there == "bootstrap")


def test_loopback_registries_are_also_asked_over_http() -> None:
    there = "for address in https://{0}/v2/ http://{0}/v2/;"
    for name, plain in (("127.0.0.1:5000", True), ("registry.example", False)):
        wanted = settings(registry=f"{name}/library")
        with at(wanted, **NONE):
            script = reachability.reachability_script(wanted)
        assert (there.format(name) in script) is plain


def test_mirrors_of_docker_hub_count_as_reachable() -> None:
    mirrored = settings(engine={"registry_mirrors": ["https://mirror.example"]})
    with at(mirrored, **NONE):
        assert "https://mirror.example/v2/" in reachability.reachability_script(mirrored)


def test_a_registry_image_is_pulled_and_labelled(own_lock: Path) -> None:
    values = {"gateway": {"source": "image", "image": "registry.example/openclaw:1"}}
    pull, built = build(
        NONE,
        facts(f'pulled registry.example/openclaw:1 ["registry.example/openclaw@{DIGEST}"]\n'),
        **values,
    )
    assert "docker pull registry.example/openclaw:1" in pull.stdin
    assert f"openclaw-pyinfra.base=registry.example/openclaw:1@{DIGEST}" in built.stdin
    assert lockfile.read(own_lock).images == {"registry.example/openclaw:1": DIGEST}


def test_a_reference_with_a_digest_needs_no_lock(own_lock: Path) -> None:
    reference = f"registry.example:5000/a/openclaw:1@{DIGEST}"
    values = {"gateway": {"source": "image", "image": reference}}
    pull, _ = build(NONE, **values)
    assert f"docker pull registry.example:5000/a/openclaw@{DIGEST}" in pull.stdin
    assert not own_lock.exists()


def test_a_branch_becomes_a_commit_in_the_lock(own_lock: Path) -> None:
    values = {"gateway": {"source": "git", "repository": "https://git.example/openclaw.git"}}
    git = "installed git 1:2.39"
    there, later = facts(packages=git), facts(f"commit {COMMIT}\n", packages=git)
    checkout, built = build(there, later, **values)
    assert "git.example/openclaw.git" in checkout.stdin
    assert f"export GIT_COMMIT={COMMIT}" in built.stdin
    assert lockfile.read(own_lock).repositories == {"https://git.example/openclaw.git#main": COMMIT}


def test_git_is_installed_where_it_is_missing_and_only_then() -> None:
    values = {"gateway": {"source": "git", "repository": "/srv/openclaw.git", "ref": COMMIT}}
    there, later = facts(), facts(f"commit {COMMIT}\n")
    assert build(there, there, later, **values)[0] == "sh -s -- git"
    assert len(build(facts(f"commit {COMMIT}\n", packages="installed git 1:2.39"), **values)) == 1


def test_openclaws_own_build_arguments_and_the_users() -> None:
    values = {
        "gateway": {
            "source": "git",
            "repository": "/srv/openclaw.git",
            "ref": COMMIT,
            "apt_packages": ["jq", "git"],
            "pip_packages": ["humanize==4.14.0"],
            "install_browser": True,
        },
        "build": {"arguments": {"OPENCLAW_EXTENSIONS": "a b"}},
    }
    base = identity.Base("", COMMIT)
    assert gateway.arguments(settings(**values), base) == {
        "GIT_COMMIT": COMMIT,
        "OPENCLAW_DOCKER_APT_PACKAGES": "jq git",
        "OPENCLAW_IMAGE_APT_PACKAGES": "jq git",
        "OPENCLAW_IMAGE_PIP_PACKAGES": "humanize==4.14.0",
        "OPENCLAW_INSTALL_BROWSER": "1",
        "OPENCLAW_EXTENSIONS": "a b",
    }


def removed(command: Command) -> list[str]:
    body = command.stdin.partition("\nmain() {")[2]
    return [line.strip() for line in body.splitlines() if line.strip().startswith("remove")]


def test_images_that_nothing_names_are_removed_with_their_base() -> None:
    old = image("i1", f"registry.example/openclaw:1@{DIGEST}", (), id=OLD)
    new = image("i2", f"registry.example/openclaw:2@{OTHER}", id=NEW)
    good = image("i3", "b@c", ("openclaw:last-good",), id=GOOD)
    foreign = image("i4", "b@d", (), id=FOREIGN, deployment="second")
    (removal,) = commands(
        pipeline.pruned, facts(old, new, good, foreign), settings=settings(), images=GATEWAY
    )
    assert removed(removal) == [
        f"remove {OLD}",
        f"remove_base registry.example/openclaw:1 registry.example/openclaw@{DIGEST}",
    ]


def test_a_base_that_is_still_used_stays() -> None:
    base = f"registry.example/openclaw:1@{DIGEST}"
    there = facts(image("i1", base, (), id=OLD), image("i2", base, id=NEW))
    (removal,) = commands(pipeline.pruned, there, settings=settings(), images=GATEWAY)
    assert removed(removal) == [f"remove {OLD}"]


def test_an_image_in_a_container_stays() -> None:
    there = facts(bootstrapped(settings()), image("i1", "a@b", (), id=OLD), f"used {OLD}\n")
    assert commands(pipeline.pruned, there, settings=settings(), images=GATEWAY) == []


def test_the_plan_foresees_that_a_new_image_supersedes_the_old_one(default_settings: None) -> None:
    # What runs, and was good, is kept to go back to.
    good = image("old", "a@b", ("openclaw:local", "openclaw:last-good"))
    for there, expected in (
        (facts(bootstrapped(settings())), 0),
        (facts(image("old", "a@b")), 1),
        (facts(good), 0),
    ):
        host = FakeHost(there, executing=False)
        with ctx_host.use(host):
            assert (
                len(list(pipeline.pruned._inner(settings=settings(), images=GATEWAY))) == expected
            )


def test_a_release_that_cannot_be_resolved_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    unknown = settings(gateway={"version": "2031.1.1"})
    (problem,) = preflight.release_problems(unknown)
    assert "gateway.version 2031.1.1 is not in the lock" in problem.what
    assert list(preflight.release_problems(settings())) == []


def test_a_broken_lock_is_a_problem(own_lock: Path) -> None:
    own_lock.write_text("releases: [")
    (problem,) = preflight.release_problems(settings())
    assert str(own_lock) in problem.what


def test_an_engine_that_is_not_there_answers_nothing() -> None:
    assert state.Images.parse([]) == state.Images()
    assert Lock() == lockfile.Lock()


EXPLANATIONS = {
    "E: Unable to locate package jqq": "Debian package jqq does not exist",
    "#9 2.1 E: Version '9' for 'jq' was not found": "Version '9' for 'jq' was not found",
    "ERROR: No matching distribution found for nope==1": "Python package nope==1 does not exist",
    "toomanyrequests: You have reached your pull rate limit": "429 toomanyrequests",
    "unauthorized: authentication required": "wants a login",
    "manifest for a/b:1 not found: manifest unknown": "no such image in the registry",
    "pull access denied for a/b, repository does not exist": "access denied",
    "npm error notarget No matching version found for x@9.": "No matching version found for x@9.",
    "integrity of npm package x@1: expected a, found b": "refused: npm package x@1: expected a",
    "write /var/lib/x: no space left on device": "no space left on the disk",
    "npm error code SELF_SIGNED_CERT_IN_CHAIN": "a TLS certificate is not trusted",
    "executor failed running [/bin/sh -c x]: exit code: 137": "want of memory",
    "npm error code EAI_AGAIN": "a source cannot be reached",
}


@pytest.mark.parametrize("line", EXPLANATIONS)
def test_the_reason_of_a_failed_build_is_one_line(line: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"#1 [1/2] FROM base\n#2 0.1 {line}\n#2 ERROR: process did not complete\n")
    said = explain(log)
    assert EXPLANATIONS[line] in said and said.count("\n") == 1


def test_a_number_that_looks_like_a_status_is_no_reason(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("#6 2.429 Get:4 packages python3\n#7 0.1 /run/x: Permission denied\n")
    assert "registry" not in explain(log) and "Permission denied" in explain(log)


def test_an_unknown_reason_shows_the_end_of_the_log_without_credentials(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(["start", *("x" * 20), "fetch http://me:hunter2@mirror.example/a"]))
    said = explain(log)
    assert "http://mirror.example/a" in said and "hunter2" not in said and "start" not in said


def explain(log: Path) -> str:
    script = templates.render("images/explain.sh") + f"explain {log}\n"
    done = subprocess.run(["sh", "-s"], input=script, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("values", "registry"),
    [
        ({"base_images": "registry"}, "docker.io"),
        (
            {"base_images": "registry", "registry": "registry.example:5000/debian"},
            "registry.example:5000",
        ),
        ({"gateway": {"source": "image", "image": "ghcr.example/openclaw:1"}}, "ghcr.example"),
        ({"gateway": {"source": "image", "image": "alpine/openclaw:1"}}, "docker.io"),
    ],
)
def test_a_registry_that_a_build_needs_must_answer(
    values: dict[str, Any], registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(**values)
    monkeypatch.setattr(snapshot, "settings_for", lambda host: wanted)
    for said, stops in (("Could not resolve", True), ("certificate verification failed", False)):
        monkeypatch.setattr(snapshot, "run_quietly", lambda host, script, said=said: said)
        with ctx_host.use(FakeHost(NONE)):
            (problem,) = preflight.registry_problems(wanted)
        assert registry in problem.what and said in problem.what
        assert problem.stops is stops


def test_a_registry_that_no_build_needs_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(snapshot, "run_quietly")
    known = settings(base_images="registry")
    there = facts(from_registry(known, DIGEST))
    for wanted, answers in (
        (settings(), NONE),
        (settings(base_images="auto"), NONE),
        (known, there),
    ):
        monkeypatch.setattr(snapshot, "settings_for", lambda host, wanted=wanted: wanted)
        with ctx_host.use(FakeHost(answers)):
            assert list(preflight.registry_problems(wanted)) == []


@pytest.mark.parametrize("variables", [{}, {"HTTPS_PROXY": "http://proxy:3128"}])
def test_a_host_without_proxies_is_no_failure(variables: dict[str, str]) -> None:
    """Nor is one whose /etc/environment names none; scripts that make images end at a failure."""
    functions = (templates.DIRECTORY / "images/engine.sh").read_text().partition("\n")[2]
    script = functions.replace("/etc/environment", "/dev/null") + 'export_proxies\necho "$proxies."'
    done = subprocess.run(
        ["sh", "-euc", script], env={**variables, "PATH": os.environ["PATH"]}, capture_output=True
    )
    wanted = b" https_proxy HTTPS_PROXY.\n" if variables else b".\n"
    assert (done.returncode, done.stdout) == (0, wanted)


def test_a_container_without_an_image_uses_none() -> None:
    """A build from scratch that was cut leaves such a container."""
    assert state.Images.parse(["used ", f"used sha256:{'a' * 64}"]).used == {f"sha256:{'a' * 64}"}
