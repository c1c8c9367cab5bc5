"""The locks of Python's packages are of what pyproject.toml asks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
RUNTIME, TEST = "requirements.lock", "requirements-test.lock"


def asked(section: str) -> list[Requirement]:
    text = (ROOT / "pyproject.toml").read_text()
    [listed] = re.findall(rf"^{section} = \[\n(.*?)^\]", text, re.M | re.S)
    return [Requirement(line) for line in re.findall(r'^    "(.+)",$', listed, re.M)]


def locked(name: str) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for package, version in re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.M):
        found.setdefault(package, []).append(Version(version))
    return found


@pytest.mark.parametrize(
    ("lock", "section"), [(RUNTIME, "dependencies"), (TEST, "dependencies"), (TEST, "test")]
)
def test_what_is_asked_for_is_locked_in_an_accepted_version(lock: str, section: str) -> None:
    pins = locked(lock)
    for wanted in asked(section):
        versions = pins[wanted.name.lower()]
        accepted = [one for one in versions if one in wanted.specifier]
        assert accepted if wanted.marker else accepted == versions, wanted


def test_pyinfra_stays_within_one_minor_release() -> None:
    """Its inside is used: toolkit/pyinfra_internals.py."""
    [pyinfra] = [one for one in asked("dependencies") if one.name == "pyinfra"]
    [pin] = locked(RUNTIME)["pyinfra"]
    assert f"{pin.major}.{pin.minor + 1}" not in pyinfra.specifier


def test_the_tests_run_on_what_is_installed_for_users() -> None:
    tests = locked(TEST)
    assert {name: tests.get(name) for name in locked(RUNTIME)} == locked(RUNTIME)
