"""What images are called in a registry, which are found there, and why a registry refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from pyinfra.api.host import Host

from operations.images.sharing import in_registry
from operations.images.sharing.groups import Group, Want, grouped
from operations.images.sharing.in_registry import Finder, Stored
from toolkit import lockfile, oci
from toolkit.settings import Settings

DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
ADDRESS = "registry.example.org/claw"


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / lockfile.NAME
    monkeypatch.setattr(lockfile, "location", lambda: path)
    return path


def settings(address: str | None = ADDRESS, **more: Any) -> Settings:
    return Settings.model_validate({"images": {"registry": {"address": address, **more}}})


def asked(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[Any, ...]]:
    calls = []

    def digest(*arguments: Any) -> str | None:
        calls.append(arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(oci, "digest", digest)
    return calls


def find(finder: Finder, inputs: str = "x", wanted: Settings | None = None) -> Stored | None:
    return finder.find(wanted or settings(), "openclaw:local", inputs, "x86_64")


def test_the_digest_of_the_lock_is_taken_without_asking(
    own_lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = asked(monkeypatch, OTHER)
    lockfile.record(images={f"{ADDRESS}/openclaw:x-x86_64": DIGEST}, path=own_lock)
    found = find(Finder())
    assert found and found.digest == DIGEST and found.repository == f"{ADDRESS}/openclaw"
    assert calls == []


def test_a_registry_is_asked_once_for_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = asked(monkeypatch, None)
    finder = Finder()
    assert [find(finder), find(finder), find(finder, "y")] == [None] * 3
    assert [call[:2] for call in calls] == [
        (f"{ADDRESS}/openclaw", "x-x86_64"),
        (f"{ADDRESS}/openclaw", "y-x86_64"),
    ]


def test_a_silent_registry_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = asked(monkeypatch, oci.RegistryError("timed out"))
    finder = Finder()
    assert [find(finder), find(finder, "y")] == [None] * 2
    assert len(calls) == 1
    assert f"{ADDRESS} cannot be asked" in caplog.text and "timed out" in caplog.text


def test_only_loopback_and_what_the_engine_may_is_asked_without_tls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = asked(monkeypatch, None)
    named = settings("plain.example:5000/x").model_dump(mode="json")
    named["engine"]["daemon"] = {"insecure-registries": ["plain.example:5000"]}
    for wanted in (settings(), settings("127.0.0.1:5000"), Settings.model_validate(named)):
        find(Finder(), wanted=wanted)
    assert [call[3] for call in calls] == [False, True, True]


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("unauthorized: authentication required", "images.registry.username"),
        ("401 unauthorized", "images.registry.password"),
        ("denied: requested access to the resource is denied", "does not allow that to claw"),
        ("http: server gave HTTP response to HTTPS client", "insecure-registries"),
        ("x509: certificate signed by unknown authority", "add its CA on the host"),
        ("manifest unknown: manifest unknown", "does not have the image any more"),
        ("dial tcp: no such host", "dial tcp: no such host"),
    ],
)
def test_why_a_registry_refused_names_what_to_change(said: str, named: str) -> None:
    wanted = settings(username="claw", password={"env": "P"})
    assert named in in_registry.reason(wanted, said)
    if "unauthorized" in said:
        assert in_registry.reason(settings(), said).startswith("it wants a login")


A, B, C = (cast(Host, name) for name in "abc")


def want(host: Host, registry: str) -> Want:
    return Want(host, "openclaw:local", "x86_64", ("x",), registry=registry)


def test_hosts_with_different_registries_do_not_share() -> None:
    found = grouped([want(A, ADDRESS), want(B, ADDRESS), want(C, "")], lambda _: "x")
    assert found[A] is found[B] is not found[C]
    assert found[A].registry == ADDRESS


def test_who_cannot_pull_it_builds_it_and_the_others_still_pull() -> None:
    kept = Stored("registry.example.org/openclaw", DIGEST)
    group = Group("openclaw:local", "x", [A, B], {kept: ""})

    def yes(_: Host) -> bool:
        return True

    assert group.expected is None
    assert group.next(A, yes, yes) is kept
    assert group.next(A, yes, yes, without=[kept]) == A
    assert group.next(B, yes, yes) is kept
