"""Facts in, decisions and commands out: how a deployment reaches its engine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyinfra.context import ctx_host

from operations import engine_access
from operations.base import snapshot, templates
from operations.engine import access_problems, rootless
from operations.engine import stage as engine
from operations.engine.state import Engine, plan
from operations.engine_access import EngineWay
from operations.gateway import compose, directories
from operations.packages import Packages
from operations.system import System
from tests.operations.hosts import FakeHost, commands
from toolkit.settings import Settings

ROOTLESS = """\
form=rootless
reason=the host can carry a rootless engine
lacking=
own-engine=
cgroup2=
user=990:989
subuid=524288
subgid=624288
group=103
"""


def settings(socket: str = "auto", enabled: bool = True, **values: Any) -> Settings:
    return Settings.model_validate({"sandbox": {"enabled": enabled, "socket": socket}, **values})


@contextmanager
def on(answer: str, **others: str) -> Iterator[FakeHost]:
    host = FakeHost({"access": answer, **others})
    original, snapshot.settings_for = snapshot.settings_for, lambda host: Settings()
    try:
        with ctx_host.use(host):
            yield host
    finally:
        snapshot.settings_for = original


def problems(wanted: Settings, answer: str) -> list[str]:
    with on(answer):
        return [p.what for p in access_problems.problems(wanted)]


# Which form


@pytest.mark.parametrize(
    "wanted",
    [
        settings("socket"),
        settings("auto", enabled=False),
        settings("auto", engine={"source": "existing"}),
        settings("auto", engine={"socket": "/run/other/docker.sock"}),
    ],
)
def test_the_settings_can_decide_for_the_hosts_engine(wanted: Settings) -> None:
    with on("form=rootless"):
        assert EngineWay(wanted).form == "socket"
        assert EngineWay(wanted).socket == wanted.engine.socket
        last = engine_access.environment(wanted).splitlines()[-1]
        assert last == f"export DOCKER_HOST=unix://{wanted.engine.socket}"


def test_auto_is_decided_by_the_host() -> None:
    with on(ROOTLESS):
        assert EngineWay(settings()).form == "rootless"
        assert EngineWay(settings()).reason == "the host can carry a rootless engine"
        assert EngineWay(settings(name="second")).socket == "/run/second-engine/docker.sock"
    with on("form=socket\nreason=because"):
        assert (EngineWay(settings()).form, EngineWay(settings()).reason) == (
            "socket",
            "because",
        )


@pytest.mark.parametrize(
    ("there", "form", "why"),
    [
        (("unit",), "rootless", "has its own rootless engine"),
        (("unit", "compose"), "rootless", "has its own rootless engine"),
        (("compose",), "socket", "runs on the host's engine already"),
    ],
)
def test_what_a_deployment_has_it_keeps(
    there: tuple[str, ...], form: str, why: str, tmp_path: Path
) -> None:
    for name in there:
        (tmp_path / name).touch()
    decide = templates.render(
        "access/decide.sh.j2", unit=f"{tmp_path}/unit", compose=f"{tmp_path}/compose"
    )
    script = f'{decide}\ndecide\nprintf "%s|%s" "$form" "$reason"'
    said = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"{form}|") and why in said


@pytest.mark.parametrize(("restricted", "said"), [("0", False), ("1", True), (None, False)])
def test_the_sysctl_that_an_ubuntu_keeps_user_namespaces_by_is_named(
    restricted: str | None, said: bool, tmp_path: Path
) -> None:
    name = "apparmor_restrict_unprivileged_userns"
    if restricted:
        (tmp_path / name).write_text(f"{restricted}\n")
    decide = templates.render("access/decide.sh.j2", unit="/nonexistent", compose="/nonexistent")
    path = f"/proc/sys/kernel/{name}"
    assert path in decide
    script = decide.replace(path, str(tmp_path / name)) + "\nlacking\n"
    # Scripts that end at the first command that fails have it too.
    lacks = subprocess.run(
        ["sh", "-euc", script], capture_output=True, text=True, check=True
    ).stdout
    assert (f"users (sysctl kernel.{name} is 1)" in lacks) is said


# What it means


def test_a_containers_user_is_one_of_the_engines_users_own_ids() -> None:
    with on(ROOTLESS):
        assert EngineWay(settings()).owner() == "525287:625287"
        assert EngineWay(settings("socket")).owner() == "1000:1000"


def test_the_directories_belong_to_that_id_and_let_the_engine_pass() -> None:
    snapshot_there = {"access": ROOTLESS, "files": ""}
    (command,) = commands(directories.created, snapshot_there, settings=settings("rootless"))
    assert "install -d -o 0 -g 989 -m 710 /var/lib/openclaw" in command.stdin.splitlines()
    assert "install -d -o 525287 -g 625287 -m 700 /var/lib/openclaw/config" in command.stdin


@pytest.mark.parametrize(
    ("wanted", "group", "source"),
    [
        (settings("socket"), ["103"], "/var/run/docker.sock"),
        (settings("rootless"), None, "/run/openclaw-engine/docker.sock"),
        (settings(enabled=False), None, None),
    ],
)
def test_who_has_sandboxes_gets_the_socket(
    wanted: Settings, group: list[str] | None, source: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "inputs", lambda _: "")
    monkeypatch.setattr(compose, "security_options", lambda _: [])
    with on(ROOTLESS):
        service = yaml.safe_load(compose.base_file(wanted).content)["services"]["openclaw-gateway"]
    mounts = {mount["target"]: mount["source"] for mount in service["volumes"]}
    assert service.get("group_add") == group
    assert mounts.get("/var/run/docker.sock") == source
    assert ("/etc/openclaw-pyinfra/security" in mounts) is wanted.sandbox.enabled


@pytest.mark.parametrize(("answer", "limited"), [(ROOTLESS, True), ("user=1:1", False)])
def test_limits_are_asked_for_where_they_hold(
    answer: str, limited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "inputs", lambda _: "")
    monkeypatch.setattr(compose, "security_options", lambda _: [])
    wanted = settings("rootless")
    with on(answer):
        service = yaml.safe_load(compose.base_file(wanted).content)["services"]["openclaw-gateway"]
        assert (access_problems.NO_LIMITS in access_problems.warnings(wanted)) is not limited
    assert ("mem_limit" in service) is limited
    assert ("pids_limit" in service) is limited


def test_a_summary_warns_of_the_plain_socket_alone() -> None:
    with on(ROOTLESS):
        assert list(access_problems.warnings(settings("socket"))) == [access_problems.WARNING]
        assert list(access_problems.warnings(settings("rootless"))) == []
        assert list(access_problems.warnings(settings(enabled=False))) == []


def test_nothing_is_moved_from_one_engine_to_another() -> None:
    (said,) = problems(settings("socket"), ROOTLESS)
    assert "own rootless engine (openclaw-engine.service)" in said
    (said,) = problems(settings("rootless"), "deployed=")
    assert "runs on the host's engine" in said
    assert problems(settings("rootless"), ROOTLESS + "deployed=\n") == []


@pytest.mark.parametrize(
    ("wanted", "answer", "what"),
    [
        (settings("rootless"), "lacking=systemd, /dev/net/tun", "systemd, /dev/net/tun"),
        (settings("rootless", engine={"source": "existing"}), "", "names another engine"),
        (settings("rootless", gateway={"port": 443}), "", "443"),
    ],
)
def test_what_keeps_an_engine_from_running_without_root(
    wanted: Settings, answer: str, what: str
) -> None:
    (said,) = problems(wanted, answer)
    assert what in said


# The engine


@pytest.mark.parametrize(("release", "source"), [("12", "distro"), ("13", "distro")])
def test_a_rootless_engine_needs_more_packages(release: str, source: str) -> None:
    system = System(distribution="debian", release=release, systemd=True)
    wanted = plan(settings(engine={"source": source}), system, Engine(), Packages({}), True)
    assert {"docker.io", "rootlesskit", "uidmap", "slirp4netns"} <= set(wanted.missing)
    without = plan(settings(engine={"source": source}), system, Engine(), Packages({}))
    assert set(wanted.missing) - set(without.missing) == {
        "rootlesskit",
        "uidmap",
        "slirp4netns",
        "dbus-user-session",
    }


def test_dockers_own_packages_bring_their_own_rootlesskit() -> None:
    system = System(distribution="debian", release="13", systemd=True)
    wanted = plan(settings(engine={"source": "official"}), system, Engine(), Packages({}), True)
    assert "docker-ce-rootless-extras" in wanted.missing and "rootlesskit" not in wanted.missing


def test_the_engine_is_started_once() -> None:
    wanted = settings("rootless")
    bare = {"access": "cgroup2=", "engine": "installed="}
    (command,) = commands(rootless.started, bare, settings=wanted)
    assert "User=openclaw-engine" in command.stdin and "user@@UID@.service" in command.stdin
    with on(ROOTLESS):
        there = [rootless.configuration(wanted), rootless.unit(wanted, "990")]
    found = "".join(
        f"regular file|{file.mode}|0:0|{engine.files.digest(file.content)}|{file.path}\n"
        for file in there
    )
    running = {"access": ROOTLESS, "engine": "server=26.1.5", "files": found}
    assert commands(rootless.started, running, settings=wanted) == []
    stopped = {**running, "engine": "installed="}
    assert len(commands(rootless.started, stopped, settings=wanted)) == 1
    changed = settings("rootless", engine={"registry_mirrors": ["https://mirror.example"]})
    assert len(commands(rootless.started, running, settings=changed)) == 1


def test_without_cgroup_v2_it_needs_no_manager_of_its_user() -> None:
    (command,) = commands(rootless.started, {"access": ""}, settings=settings("rootless"))
    assert "user@" not in command.stdin and "linger" not in command.stdin


def test_the_hosts_engine_is_left_alone_by_a_rootless_one() -> None:
    wanted = settings("rootless")
    assert commands(engine.configured, {"access": ROOTLESS, "engine": ""}, settings=wanted) == []


def test_the_hosts_engine_needs_no_other() -> None:
    assert commands(rootless.started, {"access": ROOTLESS}, settings=settings("socket")) == []


@pytest.mark.parametrize(
    ("before", "stopped"),
    [
        ("", "docker.socket docker.service containerd.service"),
        ("installed containerd 1.7", "docker.socket docker.service"),
    ],
)
def test_an_engine_with_root_that_nobody_asked_for_does_not_run(before: str, stopped: str) -> None:
    system = "id=debian\nrelease=13\ncodename=trixie\nsystemd="
    bare = {"access": "", "engine": "", "packages": before, "system": system}
    after = {**bare, "engine": "installed="}
    install, stop = commands(engine.installed, bare, after, settings=settings("rootless"))
    assert "rootlesskit" in install
    assert stop == f"systemctl disable --now {stopped}"
    there = commands(engine.installed, after, settings=settings("rootless"))
    assert not [command for command in there if "disable" in command], "whose engine it is"


def test_an_account_with_the_containers_uid_is_named_where_it_is_the_hosts_uid() -> None:
    kept: dict[str, Any] = {"gateway": {"uid": 1000}}
    with on("", ids="passwd 1000 debian\n"):
        (said,) = access_problems.warnings(settings(enabled=False, **kept))
        assert "debian" in said and "token" in said
        assert list(access_problems.warnings(settings("rootless", **kept))) == [
            access_problems.NO_LIMITS
        ]
        assert list(access_problems.warnings(settings(enabled=False, gateway={"uid": 58001}))) == []
    with on(""):
        assert list(access_problems.warnings(settings(enabled=False, **kept))) == []


def test_a_login_s_environment_names_no_other_engine_builder_or_project() -> None:
    names = (
        *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"),
        *("DOCKER_API_VERSION", "DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTENT_TRUST"),
        *("BUILDX_BUILDER", "BUILDX_CONFIG", "BUILDKIT_HOST", "COMPOSE_PROJECT_NAME"),
        *("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_DISABLE_ENV_FILE"),
    )
    told = [f"{name}=elsewhere" for name in names]
    socket = "unix:///var/run/docker.sock"
    for script in (
        engine_access.environment(settings("socket")),
        f"{templates.render('images/engine.sh')}\nuse_engine /var/run/docker.sock",
    ):
        done = subprocess.run(
            ["env", "-i", *told, "DOCKER_CONFIG=/x", "/bin/sh", "-c", f"{script}\nenv"],
            capture_output=True,
            text=True,
            check=True,
        )
        there = dict(line.split("=", 1) for line in done.stdout.splitlines())
        about = {name: there[name] for name in (*names, "DOCKER_CONFIG") if name in there}
        config = {"DOCKER_CONFIG": "/x"}  # root's own logins stay
        assert about == {"DOCKER_HOST": socket, "BUILDX_BUILDER": "default"} | config
