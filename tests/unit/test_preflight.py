"""The preflight's judgement of what the probes answer."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operations import system
from operations.base import answers, preflight, snapshot
from operations.base.preflight import Problem
from operations.engine import preflight as checks
from operations.gateway import conflicts
from tests.operations.hosts import at
from tests.operations.hosts import judged as told
from toolkit.settings import Settings

HOST = (
    "id=debian\nrelease=12\ncodename=bookworm\ntitle=Debian GNU/Linux 12 (bookworm)\n"
    "machine=x86_64\nmemory=8000000\nmemory-limits=\ndisk=images|/dev/sda1|ext4|50000000|/\n"
)


def settings(**values: object) -> Settings:
    return Settings.model_validate(values)


def judged(text: str, **values: object) -> list[str]:
    wanted = settings(**values)
    with at(wanted, system=text):
        found = [
            *system.system_problems(wanted),
            *system.disk_problems(wanted, snapshot.of(system.System)),
        ]
    return [f"{'' if problem.stops else 'warning: '}{problem.what}" for problem in found]


def test_a_good_host_has_no_problem() -> None:
    assert judged(HOST) == []


@pytest.mark.parametrize(
    ("given", "instead", "problem"),
    [
        ("release=12", "release=11", "Debian GNU/Linux 12 (bookworm) is not supported"),
        ("x86_64", "armv7l", "architecture armv7l is not supported"),
        ("x86_64", "x86_64\nuserland=i386", "its packages are i386, on a kernel for x86_64"),
        ("x86_64", "aarch64\nuserland=armhf", "its packages are armhf, on a kernel for aarch64"),
        ("x86_64", "x86_64\ncontainer=lxc", "warning: the host is itself a container (lxc)"),
        (
            "memory=8000000",
            "memory=2000000",
            "gateway.memory is 3g, but the host has 1.9 GiB of memory",
        ),
        ("|50000000|", "|1000000|", "/ has 1.0 GiB free; 6.0 GiB needed for images"),
        (
            "memory-limits=\n",
            "",
            "warning: the kernel has no memory controller for containers, so gateway.memory limits"
            " nothing",
        ),
        ("|ext4|", "|overlay|", "warning: images is on an overlay file system, which makes the"),
    ],
)
def test_what_is_wrong_is_said_with_numbers(given: str, instead: str, problem: str) -> None:
    assert given in HOST
    assert [text[: len(problem)] for text in judged(HOST.replace(given, instead))] == [problem]


@pytest.mark.parametrize(
    ("distribution", "release", "said"),
    [
        ("ubuntu", "22.04", "warning"),
        ("ubuntu", "24.04", "warning"),
        ("ubuntu", "26.04", "warning"),
        ("ubuntu", "26.10", "warning"),
        ("debian", "14", "warning"),
        ("debian", "", "warning"),  # testing and unstable have no number
        ("debian", "11", "error"),
        ("ubuntu", "20.04", "error"),
        ("fedora", "43", "error"),
    ],
)
def test_newer_releases_of_known_distributions_are_tried(
    distribution: str, release: str, said: str
) -> None:
    text = HOST.replace("id=debian\nrelease=12", f"id={distribution}\nrelease={release}")
    (problem,) = judged(f"{text}userland=amd64\ncontainer=docker\n")
    assert problem.startswith("warning: ") is (said == "warning")
    system_there = system.System.parse(text.splitlines())
    assert bool(system.release_of(system_there)) is (said == "warning")


@pytest.mark.parametrize(
    ("says", "what"),
    [
        (
            "invalid option provided\nusage: sudo -h | -K | -k | -V",
            "takes no password from a helper",
        ),
        ("sudo: 1 incorrect password attempt", "refuses the password"),
    ],
)
def test_a_sudo_that_cannot_be_given_a_password_is_told_from_one_that_refuses_it(
    says: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object, **__: object) -> str:
        raise answers.CommandFailed(says)

    monkeypatch.setattr(answers, "ask", ask)
    monkeypatch.setattr(snapshot, "privileges", lambda host: {"_sudo": True})
    monkeypatch.setattr(snapshot, "needs_sudo", lambda host: True)
    host: Any = SimpleNamespace(data=SimpleNamespace(ssh_user="me", _sudo_password="x"))
    problem = preflight.root_problem(host)
    assert problem and what in problem.what


def test_a_host_sold_as_2_gib_may_run_a_gateway_of_2_gib() -> None:
    assert judged(HOST.replace("8000000", "2015000"), gateway={"memory": "2g"}) == []


def test_state_and_images_on_one_file_system_add_up() -> None:
    text = HOST.replace("50000000", "6500000") + "disk=/opt/openclaw|/dev/sda1|ext4|6500000|/\n"
    assert judged(text) == ["/ has 6.2 GiB free; 7.0 GiB needed for images, /opt/openclaw"]


def test_a_running_gateway_needs_less_disk() -> None:
    assert judged(HOST.replace("50000000", "3000000") + "deployed=\n") == []


@pytest.mark.parametrize(
    ("address", "listener", "taken"),
    [
        ("127.0.0.1", "0100007F:4965", True),
        ("127.0.0.1", "00000000:4965", True),
        ("127.0.0.1", "00000000000000000000000000000000:4965", True),
        ("127.0.0.1", "0200007F:4965", False),
        ("0.0.0.0", "0200007F:4965", True),
        ("::1", "00000000000000000000000001000000:4965", True),
        ("::1", "00000000:4965", False),
    ],
)
def test_port_in_use(address: str, listener: str, taken: bool) -> None:
    text = f"{HOST}listener={listener} nginx (pid 7)\n"
    wanted = settings(gateway={"address": address})
    problems = told(conflicts.conflict_problems, wanted, {"system": text})
    assert bool(problems) is taken
    for problem in problems:
        assert "18789 is in use" in problem.what and "nginx (pid 7)" in problem.what


@pytest.mark.parametrize(
    ("skew", "said"), [(0, []), (250, []), (-250, []), (3600, ["ahead"]), (-3600, ["behind"])]
)
def test_clock(skew: int, said: list[str]) -> None:
    problems = told(system.clock_problems, settings(), {"system": f"time={time.time() + skew:.0f}"})
    assert [problem.what.split()[5] for problem in problems] == said


ENOUGH = "server=28.0\ncompose=2.30\nbuildx=0.20"


def engine_problems(text: str, packages: str = "", **engine: object) -> list[Problem]:
    answers = {"engine": text, "packages": packages, "system": HOST}
    return told(checks.engine_problems, settings(engine=engine), answers)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("installed=\nenabled=masked", "docker.service is masked"),
        ("installed=\nenabled=disabled\nof-a-user=/run/user/7/docker.sock", "(/run/user/7/docker"),
        ("installed=\nenabled=disabled", "docker.service is disabled"),
        ("installed=\nenabled=enabled\nactivation=masked", "docker.service is masked"),
        ("enabled=disabled\nof-a-user=/run/user/7/docker.sock", None),  # packages left it
        ("installed=\nenabled=disabled\nactivation=enabled\n" + ENOUGH, None),
        ("installed=\nenabled=enabled\nof-a-user=/run/user/7/docker.sock", None),
        (f"installed=\nenabled=masked\n{ENOUGH}", None),
        ("enabled=not-found\nsnap=", "is a snap"),
    ],
)
def test_an_engine_that_is_not_for_the_toolkit_is_left_alone(text: str, said: str | None) -> None:
    found = [one.what for one in engine_problems(f"{text}\nrepository=reachable") if one.stops]
    assert bool(found) == bool(said)
    assert all(said in one for one in found if said)


def test_no_engine_of_its_own_is_put_beside_a_snap_either() -> None:
    """Its packages have one with root, which would take the snap's socket before it is stopped."""
    answers = {"engine": f"snap=\nrepository=x\n{ENOUGH}", "packages": "", "system": HOST}
    own = settings(sandbox={"enabled": True, "socket": "rootless"})
    found = [one.what for one in told(checks.engine_problems, own, answers)]
    assert [what for what in found if "is a snap" in what]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{ENOUGH}\nsecurity=name=seccomp,profile=default name=userns", "(userns-remap)"),
        ('installed=\nenabled=enabled\ndaemon=\ndaemon={"userns-remap": "x"}', "(userns-remap)"),
        (f"{ENOUGH}\nsecurity=name=seccomp,profile=builtin name=rootless", "is a user's own"),
        (f"{ENOUGH}\nsecurity=name=seccomp,profile=builtin name=cgroupns", None),
        (f'installed=\n{ENOUGH}\ndaemon=\ndaemon={{"userns-remap": ""}}', None),
    ],
)
def test_an_engine_with_other_ids_is_refused(text: str, said: str | None) -> None:
    found = [one.what for one in engine_problems(f"{text}\nrepository=reachable") if one.stops]
    assert len(found) == bool(said) and (not said or said in found[0])


def test_the_deployment_s_own_engine_without_root_is_none_of_those() -> None:
    answers = {"engine": f"{ENOUGH}\nsecurity=name=rootless", "packages": "", "system": HOST}
    own = settings(sandbox={"socket": "rootless"})
    found = [one.what for one in told(checks.engine_problems, own, answers)]
    assert not [what for what in found if "without root" in what]


DISKS = "disk=docker|/dev/sda1|ext4|50000000|/\ndisk=containerd|/dev/sdb1|ext4|1000000|/srv\n"


@pytest.mark.parametrize(
    ("text", "packages", "engine", "full"),
    [
        (f"installed=\n{ENOUGH}\nsnapshotter=overlayfs", "", {}, True),
        (f"installed=\n{ENOUGH}", "", {}, False),
        ("repository=reachable", "", {}, True),  # a new engine of Docker's has the new store
        ("repository=Could not resolve", "", {}, False),  # Debian's has not
        (
            f"installed=\n{ENOUGH}",
            "",
            {"daemon": {"features": {"containerd-snapshotter": True}}},
            1,
        ),
        (
            "repository=reachable",
            "",
            {"daemon": {"features": {"containerd-snapshotter": False}}},
            0,
        ),
        ("installed=\nserver=26.1", "installed docker.io 26.1", {"source": "official"}, False),
    ],
)
def test_the_disk_is_that_on_which_the_engine_keeps_images(
    text: str, packages: str, engine: Any, full: bool
) -> None:
    found = [one.what for one in engine_problems(DISKS + text, packages, **engine)]
    said = [what for what in found if "needed for images" in what]
    assert [what.split()[0] for what in said] == (["/srv"] if full else [])


def test_logins_that_cannot_be_read_are_named() -> None:
    for helpers, image, said in (
        ("helper=desktop ", "", "has its logins in docker-credential-desktop"),
        ("helper=gcloud gcr.io", "gcr.io/a/b:1", "logins for 'gcr.io' in docker-credential"),
        ("helper=gcloud gcr.io", "", None),
    ):
        answers = {"engine": f"{ENOUGH}\n{helpers}", "packages": "", "system": HOST}
        gateway = {"source": "image", "image": image} if image else {}
        found = told(checks.engine_problems, settings(gateway=gateway), answers)
        assert len(found) == bool(said)
        assert not said or (said in found[0].what.replace("'desktop'", "desktop"))
        assert all(not one.stops for one in found)
    answers = {"engine": f"{ENOUGH}\nhelper=pass ", "packages": "", "system": HOST}
    git = {"source": "git", "repository": "https://git.example/openclaw"}
    (problem,) = told(checks.engine_problems, settings(gateway=git), answers)
    assert problem.stops


def test_a_source_of_docker_s_that_the_user_switched_off_stays_off() -> None:
    (problem,) = engine_problems("repository=reachable\nforeign-source=", source="official")
    assert "docker.sources is not the toolkit's, and apt does not use it" in problem.what


def test_existing_engine_must_answer_and_be_new_enough() -> None:
    (silent,) = engine_problems("enabled=not-found", source="existing")
    assert silent.what == "no Docker Engine answers on /var/run/docker.sock"
    (old,) = engine_problems("server=19.03.5\ncompose=2.30.0", source="existing")
    assert "Docker Engine 19.03.5 (20.10 or newer needed)" in old.what
    assert "buildx missing (0.10 or newer needed)" in old.what
    assert "Compose" not in old.what
    enough = "server=20.10.24+dfsg1\ncompose=v2.39.1-desktop.1\nbuildx=v0.13.1"
    assert engine_problems(enough, source="existing") == []


def test_broken_daemon_json_is_named_by_line() -> None:
    broken = 'server=26.1\ncompose=2.26\nbuildx=0.13\ndaemon=\ndaemon={\ndaemon=  "debug" true'
    (problem,) = engine_problems(broken)
    assert problem.what.startswith("/etc/docker/daemon.json is not valid JSON: line 2, column 11")


def test_official_repository_must_be_reachable_and_trusted() -> None:
    (problem,) = engine_problems("repository=Could not resolve", source="official")
    assert "https://download.docker.com/linux cannot be reached: Could not resolve" in problem.what
    (problem,) = engine_problems(
        "repository=reachable", source="official", repository_url="http://127.0.0.1:1/linux"
    )
    assert "signing key" in problem.what


@pytest.mark.parametrize("content", [None, b"\x99\x01\x0d"])
def test_key_of_the_repository_must_be_one(content: bytes | None, tmp_path: Path) -> None:
    key = tmp_path / "docker.asc"
    if content:
        key.write_bytes(content)
    text = "repository=reachable"
    (problem,) = engine_problems(text, source="official", repository_key=str(key))
    assert f"engine.repository_key: {key} on this machine is not" in problem.what


def test_replacing_packages_is_announced_and_does_not_stop() -> None:
    there = "installed docker.io 20.10\ninstalled runc 1.1"
    (warning,) = engine_problems("installed=\nserver=20.10\ncontainers=2", there, source="official")
    assert not warning.stops
    assert warning.what == "Docker's packages replace docker.io, runc; 2 running containers stop"


def test_podman_under_docker_s_name_is_not_replaced_unasked() -> None:
    there = "installed podman-docker 4.3.1"
    for answer in ("repository=reachable", "repository=Could not resolve"):
        (problem,) = [one for one in engine_problems(answer, there) if one.stops]
        assert problem.what.startswith("podman-docker is installed")
    (warning,) = engine_problems("repository=reachable", there, source="official")
    assert not warning.stops


def test_distribution_s_engine_does_not_replace_a_newer_one() -> None:
    (problem,) = engine_problems(
        "installed=\nserver=28.1", "installed docker-ce 28", source="distro"
    )
    assert problem.stops


def test_unknown_user_is_named() -> None:
    (problem,) = engine_problems("server=26\ncompose=2.26\nbuildx=0.13\nstranger=carol")
    assert "carol" in problem.what
