"""Facts in, commands out: installing, starting and configuring the engine."""

from __future__ import annotations

import pytest

from operations.engine import stage as engine
from operations.engine.state import OFFICIAL, Engine, plan
from operations.packages import Packages
from operations.system import System
from tests.operations.hosts import Command, commands
from toolkit.settings import Settings

BOOKWORM = "id=debian\nrelease=12\ncodename=bookworm\nmachine=x86_64\nsystemd="
TRIXIE = "id=debian\nrelease=13\ncodename=trixie\nmachine=x86_64\nsystemd="
DAEMON = '{"log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "3"}'
RUNNING = (
    "installed=\nserver=26.1.5\ncompose=2.26.1-4\nbuildx=0.13.1\nenabled=enabled\ndaemon=\n"
    f'daemon={DAEMON}, "live-restore": true}}'
)
TRIXIE_PACKAGES = "\n".join(
    f"installed {name} {version}"
    for name, version in {
        "docker.io": "26.1.5",
        "docker-cli": "26.1.5",
        "docker-compose": "2.26.1",
        "docker-buildx": "0.13.1",
    }.items()
)
BARE = {"system": TRIXIE, "engine": "enabled=not-found", "packages": ""}
CONVERGED = {"system": TRIXIE, "engine": RUNNING, "packages": TRIXIE_PACKAGES}


def settings(**engine_settings: object) -> Settings:
    return Settings.model_validate({"engine": engine_settings})


def words(command: Command) -> list[str]:
    return command.split()[3:]


def test_bare_host_gets_daemon_json_before_the_engine_starts() -> None:
    fresh = {**CONVERGED, "engine": f"{RUNNING}\nprevious="}
    done = commands(
        engine.installed, BARE, BARE, fresh, CONVERGED, settings=settings(source="distro")
    )
    assert '"live-restore": true' in done[0].stdin
    assert words(done[1]) == ["docker.io", "docker-cli", "docker-compose", "docker-buildx"]
    assert words(done[2]) == ["apply", "restart"]
    assert len(done) == 3


def test_engine_that_apt_may_not_start_is_started() -> None:
    stopped = {**CONVERGED, "engine": "installed=\nenabled=enabled\nprevious="}
    done = commands(
        engine.installed, BARE, BARE, stopped, stopped, settings=settings(source="distro")
    )
    assert [words(command) for command in done[2:]] == [["start"], ["apply", "restart"]]


@pytest.mark.parametrize("source", ["auto", "distro", "existing"])
def test_converged_host_is_left_alone(source: str) -> None:
    wanted = settings(source=source)
    assert commands(engine.installed, CONVERGED, settings=wanted) == []
    assert commands(engine.configured, CONVERGED, settings=wanted) == []


def test_configuration_of_a_bare_host_is_no_second_change() -> None:
    assert commands(engine.configured, BARE, settings=settings()) == []


def test_debian_12_takes_compose_and_buildx_from_debian_13() -> None:
    bare = {**BARE, "system": BOOKWORM}
    done = commands(engine.installed, bare, settings=settings(source="distro"))
    assert "Suites: trixie" in done[1].stdin
    assert words(done[2]) == ["docker.io", "docker-compose/trixie", "docker-buildx/trixie"]


def test_compose_v1_of_debian_12_does_not_count() -> None:
    there = Packages.parse(["installed docker.io 20.10.24", "installed docker-compose 1.29.2-3"])
    wanted = plan(settings(source="distro"), System.parse(BOOKWORM.splitlines()), Engine(), there)
    assert wanted.missing == ("docker-compose/trixie", "docker-buildx/trixie")


def test_pinned_source_leaves_with_debian_12() -> None:
    files = "regular file|644|0:0|aa|/etc/apt/preferences.d/openclaw-trixie"
    done = commands(engine.borrowed_source_removed, {**CONVERGED, "files": files})
    assert done == ["rm -f /etc/apt/preferences.d/openclaw-trixie"]
    on_bookworm = {"system": BOOKWORM, "files": files}
    assert commands(engine.borrowed_source_removed, on_bookworm) == []


def test_official_packages_replace_the_distribution_s() -> None:
    there = {**CONVERGED, "packages": f"{TRIXIE_PACKAGES}\ninstalled containerd 1.7.24"}
    done = commands(engine.installed, there, settings=settings(source="official"))
    assert "https://download.docker.com/linux/debian/gpg" in done[0].stdin
    assert "Signed-By: /etc/apt/keyrings/docker.asc" in done[1].stdin
    assert words(done[2]) == [
        *OFFICIAL,
        *("docker.io-", "docker-compose-", "containerd-", "docker-cli-", "docker-buildx-"),
    ]


def test_user_s_own_source_of_docker_is_used() -> None:
    there = {**BARE, "engine": "other-source=/etc/apt/sources.list.d/docker.list\ndaemon={}"}
    done = commands(engine.installed, there, settings=settings(source="official"))
    assert words(done[1]) == list(OFFICIAL)


@pytest.mark.parametrize(
    ("facts", "packages", "source"),
    [
        (RUNNING, "", "existing"),
        ("enabled=not-found\nrepository=reachable", "", "official"),
        ("enabled=not-found\nrepository=Could not resolve", "", "distro"),
        ("installed=\nserver=20.10.5", "installed docker.io 20.10.5", "distro"),
        ("installed=\nserver=24.0.1", "installed docker-ce 24.0.1", "official"),
        ("installed=\nserver=19.03.1", "", "existing"),
    ],
)
def test_auto(facts: str, packages: str, source: str) -> None:
    found = plan(
        settings(),
        System(),
        Engine.parse(facts.splitlines()),
        Packages.parse(packages.splitlines()),
    )
    assert found.source == source


def test_engine_at_another_socket_is_never_configured() -> None:
    wanted = settings(socket="/run/user/1000/docker.sock")
    there = {**CONVERGED, "engine": "installed=\nserver=26.1"}
    assert commands(engine.configured, there, settings=wanted) == []
    assert plan(wanted, System(), Engine(), Packages({})).source == "existing"


def test_kernel_with_apparmor_needs_its_parser() -> None:
    there = Packages.parse(TRIXIE_PACKAGES.splitlines())
    system = System.parse([*TRIXIE.splitlines(), "apparmor="])
    assert plan(settings(source="distro"), system, Engine(), there).missing == ("apparmor",)


def test_reloadable_key_is_reloaded_and_others_restart() -> None:
    mirror = settings(registry_mirrors=["https://mirror.example"])
    done = commands(engine.configured, CONVERGED, settings=mirror)
    assert words(done[1]) == ["apply", "reload"]
    bounds = settings(log_max_size="50m")
    done = commands(engine.configured, CONVERGED, settings=bounds)
    assert '"max-size": "50m"' in done[0].stdin
    assert words(done[1]) == ["apply", "restart"]


def test_unproved_daemon_json_of_a_killed_run_is_not_merged() -> None:
    killed = f'installed=\nserver=26.1\ndaemon=\ndaemon={DAEMON}, "nonsense": 1}}\nprevious='
    done = commands(engine.configured, {**CONVERGED, "engine": killed}, settings=settings())
    assert "nonsense" not in done[0].stdin
    assert words(done[1]) == ["apply", "restart"]


def test_killed_before_the_restart_is_finished() -> None:
    killed = f"{RUNNING}\nprevious="
    done = commands(engine.configured, {**CONVERGED, "engine": killed}, settings=settings())
    assert [words(command) for command in done] == [["apply", "restart"]]


def test_only_absent_users_are_added() -> None:
    there = {"engine": "members=alice,bob"}
    done = commands(engine.users_added, there, users=("bob", "carol"))
    assert done == ["groupadd -rf docker && usermod -aG docker carol"]


PROXIES = {"proxies": {"http-proxy": "http://user:secret@proxy:3128"}}


def test_proxies_go_where_the_engine_reads_them() -> None:
    wanted = settings(source="distro", daemon=PROXIES)
    new, *_ = commands(engine.installed, BARE, settings=wanted)
    assert '"proxies"' in new.stdin and "[Service]" not in new.stdin
    old, *_ = commands(engine.installed, {**BARE, "system": BOOKWORM}, settings=wanted)
    assert '"proxies"' not in old.stdin
    assert 'Environment="HTTP_PROXY=http://user:secret@proxy:3128"' in old.stdin
    assert "secret" not in new + old


def test_drop_in_leaves_with_its_setting() -> None:
    drop_in = "regular file|600|0:0|aa|/etc/systemd/system/docker.service.d/openclaw-proxy.conf"
    done = commands(engine.configured, {**CONVERGED, "files": drop_in}, settings=settings())
    assert [words(command) for command in done] == [[], ["apply", "restart"]]
