"""Hosts share an image through a registry."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e.fleet_job import Fleet, Machine
from tests.e2e.harness import until
from tests.e2e.images_job import Registry
from toolkit import lockfile

pytestmark = [pytest.mark.engine, pytest.mark.whole]
BUILD, RECEIVE = "Build the gateway image", "Receive the gateway image"
PASSWORD = "registry-Canary-7f"
# htpasswd -nbB -C 5 claw PASSWORD
LOGINS = "claw:$2b$05$fAFQr6nSDXJLcLkA854JDu60gAqL/F8yqt2hbxwVbVf1MLimOfe9.\n"


@pytest.fixture(scope="module")
def registry(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with a login, at the same address of the loopback of every host."""
    running = Registry(tmp_path_factory.mktemp("registry"), LOGINS)
    with ExitStack() as stack:
        stack.callback(running.remove)
        for machine in fleet.machines:
            if machine.name != "@local":
                stack.enter_context(brought(machine, running))
        yield running


@contextmanager
def brought(machine: Machine, registry: Registry) -> Iterator[None]:
    port = registry.address.partition(":")[2]
    options = ["-F", str(lab.SSH_DIR / "config"), "-o", "ExitOnForwardFailure=yes", "-l", "root"]
    argv = ["ssh", *options, "-N", "-R", f"{port}:127.0.0.1:{port}", machine.name]
    ssh = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    answers = f"curl -s -o /dev/null http://{registry.address}/v2/ && echo yes"
    try:
        until(lambda: machine.sh(answers, None), 180, "the host reaches the registry")
        yield
    finally:
        ssh.terminate()
        ssh.wait()


def settings(fleet: Fleet, registry: Registry, password: str = PASSWORD) -> dict[str, Any]:
    (fleet.directory / "password").write_text(password)
    login = {"username": "claw", "password": {"file": str(fleet.directory / "password")}}
    return {"images": {"registry": {"address": f"{registry.address}/lab", **login}}}


def locked(fleet: Fleet) -> dict[str, str]:
    return lockfile.read(fleet.directory / lockfile.NAME).images


def images(fleet: Fleet) -> set[str]:
    return {fleet.image(machine) for machine in fleet.machines}


def test_the_builder_pushes_it_and_the_others_pull_it(fleet: Fleet, registry: Registry) -> None:
    first, *others = fleet.machines
    ref = fleet.commit(first, "pushed")
    named = settings(fleet, registry)
    plan = fleet.run("--dry", ref=ref, **named)
    done = fleet.run(ref=ref, **named)
    assert [done.failed(machine.name) for machine in fleet.machines] == ["", "", ""]
    for machine, operation in zip(fleet.machines, (BUILD, RECEIVE, RECEIVE), strict=True):
        assert operation in done.changed(machine.name) == plan.planned(machine.name), done.said
    repository = f"{registry.address}/lab/{fleet.name}"
    assert done.said.count(f"gateway image: pulled from {repository} in ") == len(others)
    assert len(images(fleet)) == 1 and fleet.image(first)
    for machine in fleet.machines:  # as if it had been built there, and no login is kept
        assert repository not in machine.sh("docker image ls --digests -a")
        assert registry.address not in machine.sh("cat ~/.docker/config.json", None)
    assert PASSWORD not in done.said
    again = fleet.run(ref=ref, **named)
    assert [again.planned(machine.name) for machine in fleet.machines] == [[], [], []]


def test_a_host_of_a_later_run_finds_it_there(fleet: Fleet, registry: Registry) -> None:
    """Nobody else in the run has it, and it cannot be built: there is no such repository."""
    own_lock = fleet.directory / lockfile.NAME
    first, second, here = fleet.machines
    ref = fleet.commit(first, "kept")
    named = settings(fleet, registry)
    fleet.machines[:] = [first]
    fleet.run(ref=ref, **named)
    image = fleet.image(first)
    try:
        fleet.machines[:] = [second]
        own_lock.unlink()  # the run is that of another control machine
        plan = fleet.run("--dry", ref=ref, **named)
        done = fleet.run(ref=ref, **named)
        assert done.changed(second.name) == plan.planned(second.name)
        assert RECEIVE in done.changed(second.name)
        assert fleet.image(second) == image
    finally:
        fleet.machines[:] = [first, second, here]


@pytest.mark.long
def test_a_registry_that_refuses_is_named_and_done_without(
    fleet: Fleet, registry: Registry
) -> None:
    first, *others = fleet.machines
    ref = fleet.commit(first, "refused")
    done = fleet.run(ref=ref, **settings(fleet, registry, "wrong"))
    assert "check images.registry.username and images.registry.password" in done.said
    assert done.said.count(f"layers from {first.name}") == len(others)
    assert len(images(fleet)) == 1
    ref = fleet.commit(first, "unreachable")
    registry.stop()
    try:
        done = fleet.run(ref=ref, **settings(fleet, registry))
        assert f"not kept in a registry: {registry.address}/lab: " in done.said
        assert done.said.count(f"layers from {first.name}") == len(others)
        assert len(images(fleet)) == 1
    finally:
        registry.start()


@pytest.mark.long
def test_what_the_registry_has_lost_is_built_and_pushed_again(
    fleet: Fleet, registry: Registry
) -> None:
    first, *_ = fleet.machines
    ref = fleet.commit(first, "lost")
    named = settings(fleet, registry)
    before = locked(fleet).keys()
    fleet.run(ref=ref, **named)
    (name,) = locked(fleet).keys() - before
    for machine in fleet.machines:
        machine.sh(f"docker image rm -f {fleet.tag}")
    lost = f"sha256:{'0' * 64}"
    lockfile.record(images={name: lost}, path=fleet.directory / lockfile.NAME)
    done = fleet.run(ref=ref, **named)
    assert "it does not have the image any more" in done.said
    assert len(images(fleet)) == 1 and fleet.image(first)
    assert locked(fleet)[name] != lost
