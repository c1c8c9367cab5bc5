"""Facts in, commands out: packages."""

from __future__ import annotations

from operations import packages
from operations.engine import preflight as engine_preflight
from tests.operations.hosts import commands, judged
from toolkit.settings import Settings


def test_only_missing_packages_are_installed() -> None:
    there = {"packages": "installed curl 7.88"}
    done = commands(packages.installed, there, names=["curl", "ca-certificates"])
    assert done == ["sh -s -- ca-certificates"]


def test_installed_packages_are_left_alone() -> None:
    there = {"packages": "installed curl 7.88\ninstalled ca-certificates 2025"}
    assert commands(packages.installed, there, names=["curl", "ca-certificates"]) == []


def test_interrupted_dpkg_is_mended_though_nothing_is_missing() -> None:
    there = {"packages": "installed curl 7.88\ninterrupted"}
    assert commands(packages.installed, there, names=["curl"]) == ["sh -s -- curl"]


def test_unreachable_mirror_is_a_problem_and_names_it() -> None:
    text = "mirror http://mirror.example/debian/\nmirror-problem Could not resolve"
    problems = judged(packages.package_problems, Settings(), {"packages": text})
    assert [problem.what for problem in problems] == [
        "the package mirror http://mirror.example/debian/ cannot be reached: Could not resolve"
    ]


def test_package_that_the_image_s_release_does_not_have_is_named() -> None:
    wanted = Settings.model_validate(
        {
            "gateway": {"apt_packages": ["jqq", "git"]},
            "sandbox": {"enabled": True, "images": {"minimal": {"apt_packages": ["treee=1"]}}},
        }
    )
    answers = {"packages": "unknown jqq\nunknown treee"}
    problems = judged(packages.package_problems, wanted, answers)
    assert [problem.what for problem in problems] == [
        "gateway.apt_packages: no such package in Debian bookworm: jqq",
        "sandbox.images.minimal.apt_packages: no such package in Debian bookworm: treee",
    ]


def test_an_ubuntu_without_universe_has_no_engine_and_is_told() -> None:
    wanted = Settings.model_validate({"engine": {"source": "distro"}})
    answers = {
        "system": "id=ubuntu\nrelease=24.04\ncodename=noble\nmachine=x86_64\nmemory=8000000",
        "packages": "component main\ncomponent restricted",
    }
    (what,) = problems(wanted, answers)
    assert what == (
        "no apt source of the host has universe, where docker.io, docker-compose-v2, docker-buildx"
        " are"
    )
    for packages_there in ("component main\ncomponent universe", ""):
        assert problems(wanted, {**answers, "packages": packages_there}) == []


def problems(wanted: Settings, answers: dict[str, str]) -> list[str]:
    found = judged(engine_preflight.engine_problems, wanted, answers)
    return [problem.what for problem in found if problem.stops]
