"""Everything that differs from one release of a distribution to the next: plain data, and what is
found in it. The rest of the code knows no release by name; tests/unit/test_distributions.py says
what else may name one, and why.
"""

from __future__ import annotations

from dataclasses import dataclass

NEWEST = (99,)
"""The number of what has none, such as Debian's testing and unstable."""


@dataclass(frozen=True)
class Borrowed:
    """Packages that a release takes from a later one of its distribution, and nothing else of it;
    `key` is the archive's on the host.
    """

    number: str
    codename: str
    packages: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class Release:
    """A release of a distribution, by what /etc/os-release says of it (ID, VERSION_ID,
    VERSION_CODENAME).

    `engine` is how its own Docker Engine, Compose v2 and buildx are called, without those that are
    `borrowed`; `engine_version` is said where it decides something before it is installed.
    `component` is where they are in the archive, if a host's sources may have it or not.
    `stand_in`: gateways were deployed on hosts that are it in what the toolkit looks at
    (lab/README.md).
    """

    distribution: str
    number: str
    codename: str
    engine: tuple[str, ...]
    tested: bool = False
    stand_in: bool = False
    engine_version: str = ""
    component: str = ""
    borrowed: Borrowed | None = None

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.number.split("."))

    @property
    def packages(self) -> tuple[str, ...]:
        """What is installed for an engine: NAME, or NAME/SUITE."""
        if self.borrowed is None:
            return self.engine
        return self.engine + tuple(
            f"{name}/{self.borrowed.codename}" for name in self.borrowed.packages
        )


TITLES = {"debian": "Debian", "ubuntu": "Ubuntu"}
INSTALL, REMOVE, SEARCH = "apt-get install", "apt-get remove", "apt-cache search"
"""What people are told to type; what is run is `templates/packages/manager.sh`."""
INSTALLERS = r"apt|apt-get|dpkg|dpkg-.*"
"""The processes of an installation (ERE), which nobody may end."""


def _ubuntu(number: str, codename: str, stand_in: bool = False) -> Release:
    return Release(
        *("ubuntu", number, codename),
        stand_in=stand_in,
        engine=("docker.io", "docker-compose-v2", "docker-buildx"),
        component="universe",
    )


RELEASES = (
    Release(
        *("debian", "12", "bookworm"),
        tested=True,
        engine=("docker.io",),
        engine_version="20.10",
        # Its own docker-compose is Compose v1, and it has no buildx; these depend on libc6 alone.
        borrowed=Borrowed(
            *("13", "trixie"),
            packages=("docker-compose", "docker-buildx"),
            key="/usr/share/keyrings/debian-archive-keyring.gpg",
        ),
    ),
    Release(
        *("debian", "13", "trixie"),
        tested=True,
        engine=("docker.io", "docker-cli", "docker-compose", "docker-buildx"),
    ),
    _ubuntu("22.04", "jammy"),
    _ubuntu("24.04", "noble", stand_in=True),
    _ubuntu("26.04", "resolute", stand_in=True),
)
IMAGE_SUITE = "bookworm"
"""Debian's release in OpenClaw's own images (its documentation, install/docker), and so in those
that are built here, whatever the host is."""
IMAGE_KEYRING = "debian-archive-keyring"
"""The package with the keys of its archive, which another distribution's host need not have."""
IMAGE_REPOSITORY = "debian"
"""Where a registry has it, below the address that the settings name."""


def known(distribution: str, number: tuple[int, ...]) -> Release | None:
    """Return a release of a distribution; of one that is newer than any, or between two, the one
    before it; None if it is older, or another distribution.
    """
    found = [one for one in RELEASES if one.distribution == distribution and one.order <= number]
    return max(found, key=lambda one: one.order, default=None)


def tested(distribution: str, number: str) -> bool:
    """Return whether the toolkit's tests run on a release."""
    return any(one.tested for one in _exactly(distribution, number))


def stood_in(distribution: str, number: str) -> bool:
    """Return whether they run on stand-ins of a release."""
    return any(one.stand_in for one in _exactly(distribution, number))


def _exactly(distribution: str, number: str) -> list[Release]:
    return [one for one in RELEASES if (one.distribution, one.number) == (distribution, number)]


def borrower(codename: str) -> Release | None:
    """Return the release of that name if it borrows packages from a later one."""
    return next((one for one in RELEASES if one.codename == codename and one.borrowed), None)


def accepted() -> str:
    """Return in words which releases are."""
    words = []
    for distribution, title in TITLES.items():
        releases = [one for one in RELEASES if one.distribution == distribution]
        *most, last = [one.number for one in releases if one.tested or one.stand_in]
        how = "tested" if any(one.tested for one in releases) else "tested on stand-ins"
        words.append(f"{title} {', '.join(most)} or {last} ({how})")
    return ", ".join(words)
