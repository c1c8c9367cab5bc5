"""What is worked out once for hosts with the same settings: a host with others gets its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import operations.engine.state
import operations.images.listing
import operations.system  # noqa: F401
from operations.base import snapshot, templates
from operations.base.quoting import Script
from operations.images import identity
from operations.security.seccomp import KINDS
from operations.security.stage import Profiles
from tests.operations.hosts import at
from toolkit import lockfile
from toolkit.settings import Settings


def settings(**values: object) -> Settings:
    return Settings.model_validate(values)


OTHERS = (
    {"name": "other"},
    {"gateway": {"port": 19000}},
    {"sandbox": {"enabled": True}},
    {"engine": {"users": ["somebody"]}},
)


@pytest.mark.parametrize("other", OTHERS)
def test_a_host_with_other_settings_is_asked_by_its_own_script(other: dict) -> None:
    first, second = settings(), settings(**other)
    scripts = [snapshot.script(one) for one in (first, second, settings(), settings(**other))]
    assert scripts[0] == scripts[2] != scripts[1] == scripts[3]


def test_a_script_is_made_anew_once_the_lock_knows_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / lockfile.NAME
    monkeypatch.setattr(lockfile, "location", lambda: lock)
    wanted = settings(gateway={"source": "image", "image": "registry.example.org/openclaw:1"})
    before = snapshot.script(wanted)
    lockfile.add(images={"registry.example.org/openclaw:1": "sha256:" + "a" * 64})
    assert "sha256:" + "a" * 64 in snapshot.script(wanted)
    lock.unlink()
    assert snapshot.script(wanted) == before


def test_the_same_settings_have_the_same_hash_and_others_another() -> None:
    assert hash(Settings()) == hash(Settings.model_validate({}))
    values: list[object] = [1, True, 1.0, "1", [1], {"a": 1}, {"a": True}]
    found = [Settings.model_validate({"openclaw": {"key": value}}) for value in values]
    assert len({hash(one) for one in found}) == len(values)
    assert len({*found, *found}) == len(values)


def test_a_changed_copy_of_settings_has_its_own_hash() -> None:
    one = settings()
    before = hash(one)
    assert hash(one.model_copy(update={"name": "other"})) != before == hash(one.model_copy())


def test_what_is_rendered_of_other_values_is_rendered_anew() -> None:
    def rendered(value: object) -> str:
        return templates.render("access/environment.sh.j2", **{**names, "rootless": value})

    names = {"known": None, "plain": "/p", "unit": "/u", "compose": "/c"}
    assert rendered("/one") == rendered("/one") != rendered("/two")


def test_a_value_of_another_type_is_another_one() -> None:
    kinds = (1, True, 1.0, "1", Script("1"), [1], (1,), {"a": 1}, {"a": True}, None)
    assert len({templates._frozen(value) for value in kinds}) == len(kinds)
    with pytest.raises(TypeError):
        templates._frozen(iter("ab"))


def test_the_digest_of_inputs_is_that_of_the_inputs() -> None:
    base = identity.Base("debian:1", "sha256:1")
    other = identity.Base("debian:1", "sha256:2")
    variants = [
        ({"Dockerfile": "FROM a"}, base, None),
        ({"Dockerfile": "FROM b"}, base, None),
        ({"Dockerfile": "FROM a", "b": ""}, base, None),
        ({"Dockerfile": "FROM a"}, other, None),
        ({"Dockerfile": "FROM a"}, base, {"A": "b"}),
    ]
    for _ in range(2):
        found = [identity.inputs(*one) for one in variants]
        assert found == [identity.digest([one, b.digest, more or {}]) for one, b, more in variants]


def test_the_digest_of_profiles_is_that_of_their_own_options() -> None:
    digests = set()
    for seccomp in ("own", "engine"):
        wanted = settings(sandbox={"seccomp": seccomp})
        for said in ("", "available"):
            with at(wanted, apparmor=said):
                digests |= {Profiles(wanted, kind).digest for kind in KINDS}
    assert len(digests) == 2 * 2 * len(KINDS)
