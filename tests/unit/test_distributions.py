"""Releases of distributions are told apart in one data file, and nowhere else by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations import distributions
from operations.distributions import IMAGE_SUITE, RELEASES
from tests.unit import sources

ROOT = Path(__file__).resolve().parents[2]
DATA = "operations/distributions.py"
CODENAMES = {one.codename for one in RELEASES} | {"bullseye", "focal", "forky", "sid"}
DISTRIBUTIONS = {one.distribution for one in RELEASES} | {"fedora", "rhel", "alpine", "arch"}
NUMBERS = {one.number for one in RELEASES}
NAMES = "|".join(sorted(CODENAMES | DISTRIBUTIONS))
NAMED = re.compile(rf"(?<![\w.-])(?:{NAMES})(?![\w.])")

EXCEPTIONS = {
    "toolkit/settings/sandbox/names.py": "the tag that OpenClaw gives its sandboxes' images",
    "operations/sandbox/comparison.py": "OpenClaw's own defaults, the tags among them",
    "templates/packages/manager.sh": "images are Debian: no other host's sources have it",
    "templates/images/sources.sh.j2": "the same",
    "templates/images/gateway/docker.sh": "a step of the gateway's image, Debian on any host",
}

MANAGER = "templates/packages/manager.sh"
PROGRAMS = re.compile(
    r"(?<![\w.$-])(?:apt|dpkg)(?:[-_][a-z]+)?(?![\w-])|/(?:etc|lib)/(?:apt|dpkg)\b"
)
IN_IMAGES = ("gateway/", "sandbox/", "steps/", "mounts.Dockerfile.j2", "node.Dockerfile.j2")
"""Below templates/images: what runs where images are made, which are Debian on any host."""
TOLD = {
    # The secrets of builds, and apt's settings in the image that is made:
    "templates/images/build.sh.j2": ("id=apt-", "$work/apt.conf"),
    "templates/images/bootstrap.sh.j2": ("$1/etc/apt/auth.conf", '"$1"/etc/apt ', "dpkg_options"),
    # Texts of errors:
    "templates/engine/borrowed.sh.j2": ("apt does not take a source", "no apt source for"),
    "templates/packages/key.sh.j2": ("the host's apt does not trust it",),
    "templates/lifecycle/remove.sh.j2": ('"apt could not purge"',),
}
"""What may be there beside."""


def named_in_python(path: Path) -> Iterator[str]:
    """Yield what names a release or a distribution in a file's texts, and a release in its names;
    docstrings are told to people alone, and a width is no release.
    """
    tree = sources.nodes(path)
    told = {
        id(node.value)
        for node in tree
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in tree:
        if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr):
            told |= {id(one) for one in node.format_spec.values}
    for node in tree:
        text = node.value if isinstance(node, ast.Constant) and id(node) not in told else None
        if isinstance(text, str) and (NAMED.search(text) or text in NUMBERS):
            yield text
        for field in ("id", "name", "attr", "arg"):
            name = getattr(node, field, None)
            if isinstance(name, str) and CODENAMES & set(name.lower().split("_")):
                yield name


def named_in_template(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if NAMED.search(line) and not line.lstrip().startswith(("#", "//", "{#")):
            yield line.strip()


def naming() -> Iterator[tuple[str, str]]:
    for folder in ("operations", "toolkit", "commandline"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield from ((str(path.relative_to(ROOT)), word) for word in named_in_python(path))
    for path in sorted((ROOT / "templates").rglob("*")):
        if path.is_file() and path.suffix not in (".json", ".yml"):
            yield from ((str(path.relative_to(ROOT)), line) for line in named_in_template(path))


@pytest.mark.slow
def test_no_release_is_named_elsewhere() -> None:
    found = [(where, word) for where, word in naming() if where != DATA]
    assert [one for one in found if one[0] not in EXCEPTIONS] == []
    assert {where for where, _ in found} == EXCEPTIONS.keys()  # each of them is still needed


def test_one_script_knows_the_package_manager() -> None:
    images = tuple(f"templates/images/{name}" for name in IN_IMAGES)
    found = []
    for path in (ROOT / "templates").rglob("*"):
        where = str(path.relative_to(ROOT))
        if path.suffix not in (".j2", ".sh") or where.startswith((*images, MANAGER)):
            continue
        text = path.read_text(encoding="utf-8")
        for told in TOLD.get(where, ()):
            assert told in text, (where, told)
            text = text.replace(told, "")
        code = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        found += [(where, line) for line in code if PROGRAMS.search(line)]
    assert found == []


def test_the_steps_of_images_are_of_the_release_that_the_data_says() -> None:
    """Their texts are inputs of the images' digests, and so have no values put into them."""
    [swapped] = re.findall(
        r"sed 's/(\w+)/(\w+)/g'", (ROOT / "templates/images/gateway/docker.sh").read_text()
    )
    own = [one for one in RELEASES if one.codename == IMAGE_SUITE]
    assert [(one.codename, one.borrowed and one.borrowed.codename) for one in own] == [swapped]


@pytest.mark.parametrize(
    ("distribution", "number", "known"),
    [
        ("debian", (12,), "bookworm"),
        ("debian", (13,), "trixie"),
        ("debian", (14,), "trixie"),
        ("debian", distributions.NEWEST, "trixie"),
        ("ubuntu", (22, 4), "jammy"),
        ("ubuntu", (23, 10), "jammy"),
        ("ubuntu", (24, 4), "noble"),
        ("ubuntu", (26, 4), "resolute"),
        ("ubuntu", (26, 10), "resolute"),
        ("debian", (11,), None),
        ("ubuntu", (20, 4), None),
        ("fedora", (43,), None),
    ],
)
def test_a_release_is_taken_to_be_as_the_one_before(
    distribution: str, number: tuple[int, ...], known: str | None
) -> None:
    found = distributions.known(distribution, number)
    assert (found.codename if found else None) == known


def test_what_an_engine_is_made_of() -> None:
    assert {(one.distribution, one.number): one.packages for one in RELEASES} == {
        ("debian", "12"): ("docker.io", "docker-compose/trixie", "docker-buildx/trixie"),
        ("debian", "13"): ("docker.io", "docker-cli", "docker-compose", "docker-buildx"),
        ("ubuntu", "22.04"): ("docker.io", "docker-compose-v2", "docker-buildx"),
        ("ubuntu", "24.04"): ("docker.io", "docker-compose-v2", "docker-buildx"),
        ("ubuntu", "26.04"): ("docker.io", "docker-compose-v2", "docker-buildx"),
    }


def test_what_is_accepted_is_said_in_words() -> None:
    assert distributions.accepted() == (
        "Debian 12 or 13 (tested), Ubuntu 24.04 or 26.04 (tested on stand-ins)"
    )
