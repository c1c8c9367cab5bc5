"""What is asked before another release of OpenClaw comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyinfra.context import ctx_host, ctx_inventory

from operations import upgrade
from tests.operations.hosts import knowing
from toolkit import lockfile
from toolkit.settings import settings_for
from toolkit.settings.sources.yaml_inventory import load_yaml_inventory

HOSTS = "hosts: {claw1: {ssh_hostname: 203.0.113.7}}\n"


class State:
    """A run that only plans."""

    is_executing = False


def told(
    directory: Path,
    running: str,
    inventory: str = "",
    asked: bool = True,
    release: str = "",
) -> dict[str, str]:
    """The problems of a host that runs a release, and their fixes; warnings begin with `~`."""
    file = directory / "fleet.yml"
    file.write_text(f"{inventory}\n{HOSTS}")
    made = load_yaml_inventory(file, {"gateway.version": release} if release else {})
    lockfile.declare(made, file)
    host: Any = made.get_host("claw1")
    host.state = State()
    if asked:
        upgrade.choose(host.state)
    with ctx_inventory.use(made), ctx_host.use(knowing(host, gateway=f"version {running}\n")):
        found = list(upgrade.problems(settings_for(host)))
    return {("" if one.stops else "~") + one.what: one.fix for one in found}


def test_a_later_release_that_nothing_contradicts_comes(tmp_path: Path) -> None:
    assert told(tmp_path, "2026.8.2", release="2026.9.6") == {}
    named = 'all: {gateway: {version: "2026.9.7"}}'
    assert told(tmp_path, "2026.8.2", named) == {}
    assert told(tmp_path, "2026.8.2", named, release="2026.9.7") == {}
    assert told(tmp_path, "") == {}, "a host without a gateway"
    assert told(tmp_path, "2026.9.6-beta.1", release="2026.9.6") == {}


def test_a_release_below_the_running_one_is_refused_with_the_way_that_works(tmp_path: Path) -> None:
    (only,) = told(tmp_path, "2026.10.1").items()
    assert only[0].startswith("2026.9.6 is below 2026.10.1, which runs here")
    assert only[1].startswith("./claw rollback")
    assert told(tmp_path, "2026.10.1", asked=False) == {}, "`up` has its own word for that"
    (what, *_) = told(tmp_path, "2026.9.6", release="2026.9.6-beta.1")
    assert what.startswith("2026.9.6-beta.1 is below 2026.9.6")


def test_an_inventory_that_names_another_release_would_take_it_back(tmp_path: Path) -> None:
    named = 'all:\n  gateway:\n    version: "2026.8.2"\n'
    ((what, fix),) = told(tmp_path, "2026.8.2", named, release="2026.9.6").items()
    assert what == f"{tmp_path}/fleet.yml line 3 says gateway.version 2026.8.2"
    assert fix.startswith('put "2026.9.6" there')


def test_a_release_that_no_inventory_names_is_said_to_be_one_run_s(tmp_path: Path) -> None:
    ((what, fix),) = told(tmp_path, "2026.9.6", release="2026.9.7").items()
    assert what.startswith("~no inventory names 2026.9.7; the next ./claw up would want 2026.9.6")
    assert 'gateway: {version: "2026.9.7"}' in fix


def test_the_lock_knows_a_newer_one(tmp_path: Path) -> None:
    entry = lockfile.SHIPPED.read_text()
    (tmp_path / lockfile.NAME).write_text(entry.replace("2026.9.6:", "2026.10.1:"))
    ((what, fix),) = told(tmp_path, "2026.8.2").items()
    assert what.startswith("~") and "knows 2026.10.1, too" in what
    assert fix.endswith("./claw upgrade TARGET 2026.10.1")


@pytest.mark.parametrize("asked", [True, False])
def test_what_a_release_breaks_must_be_known(asked: bool, tmp_path: Path) -> None:
    ((what, fix),) = told(tmp_path, "2026.6.33", asked=asked).items()
    assert "from 2026.6.33 to 2026.9.6 is across 2026.7.2: sessions and transcripts" in what
    assert 'upgrade: {acknowledged: "2026.7.2"}' in fix
    known = 'all: {upgrade: {acknowledged: "2026.7.2"}}'
    assert told(tmp_path, "2026.6.33", known, asked=asked) == {}
    assert told(tmp_path, "2026.7.2", asked=asked) == {}


def test_an_image_or_a_checkout_is_named_in_the_inventory(tmp_path: Path) -> None:
    image = "all: {gateway: {source: image, image: example.org/openclaw:1}}"
    ((what, fix),) = told(tmp_path, "2026.8.2", image).items()
    assert "no release is installed here" in what and "gateway.image" in fix
