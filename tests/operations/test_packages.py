"""Facts in, commands out: packages."""

from __future__ import annotations

from operations import packages
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
        "the Debian mirror http://mirror.example/debian/ cannot be reached: Could not resolve"
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


def test_what_apt_is_told_not_to_install_is_named_before_it_is_asked() -> None:
    text = "withheld ca-certificates hold\nwithheld curl pin\nwithheld docker-ce hold"
    problems = judged(packages.package_problems, Settings(), {"packages": text})
    assert [(problem.what, problem.fix) for problem in problems] == [
        (
            "ca-certificates is needed, and apt-mark hold keeps apt from installing it",
            "apt-mark unhold ca-certificates",
        ),
        (
            "curl is needed, and a pin keeps apt from installing it",
            "take the pin out of /etc/apt/preferences.d (apt-cache policy curl)",
        ),
    ]
    there = {"packages": f"{text}\ninstalled curl 8\ninstalled ca-certificates 2025"}
    assert not judged(packages.package_problems, Settings(), there)


def test_an_apt_that_does_nothing_is_named() -> None:
    said = {"packages": "refused Unable to parse package file /etc/apt/preferences.d/x (1)"}
    (problem,) = judged(packages.package_problems, Settings(), said)
    assert "Unable to parse package file /etc/apt/preferences.d/x" in problem.what
