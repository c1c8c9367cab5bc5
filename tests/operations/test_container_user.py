"""Which uid a deployment's containers run as."""

from __future__ import annotations

import pytest
from pyinfra.context import ctx_host

from operations import container_user
from operations.base import snapshot
from tests.operations.hosts import FakeHost
from toolkit.settings import Settings

MINE = Settings()
FIRST, SECOND = container_user.candidates(MINE.name)[:2]
CONFIG = MINE.config_directory
CHOSEN, MOVING = container_user.chosen, container_user.moving


@pytest.fixture(autouse=True)
def settings_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "settings_for", lambda host: MINE)


def answers(text: str):
    return ctx_host.use(FakeHost({"ids": text}))


@pytest.mark.parametrize(
    ("ids", "uid"),
    [
        ("", FIRST),
        ("passwd 1000 debian\ngroup 1000 debian", FIRST),
        (f"passwd {FIRST} somebody", SECOND),
        (f"group {FIRST} some", SECOND),
        (f"state {FIRST} /var/lib/other/config", SECOND),
        (f"state {SECOND} {CONFIG}", SECOND),  # it stays
        (f"state {SECOND} {CONFIG}\npasswd {SECOND} late", FIRST),  # unless it is somebody's now
        (f"state 1000 {CONFIG}", FIRST),
        (f"state 0 {CONFIG}", FIRST),
    ],
)
def test_the_uid_is_nobodys(ids: str, uid: int) -> None:
    with answers(ids):
        assert CHOSEN(MINE.name, CONFIG, None) == uid
        assert CHOSEN(MINE.name, CONFIG, 1000) == 1000


@pytest.mark.parametrize(
    ("ids", "moving"),
    [
        (f"state 1000 {CONFIG}", "1000:1000"),
        (f"state {SECOND} {CONFIG}", f"{SECOND}:{SECOND}"),
        (f"state {FIRST} {CONFIG}", None),
        (f"state 0 {CONFIG}", None),  # it is made, not moved
        (f"state 4711 {CONFIG}", None),  # whoever that is
        ("", None),
    ],
)
def test_state_of_the_images_uid_or_one_of_ours_moves(ids: str, moving: str | None) -> None:
    with answers(ids):
        assert MOVING(MINE.config_directory, f"{FIRST}:{FIRST}") == moving


def test_deployments_have_uids_of_their_own_that_no_login_gets() -> None:
    names = [f"claw{number}" for number in range(40)]
    found = [container_user.candidates(name)[0] for name in names]
    assert len(set(found)) > 35
    assert all(57999 < uid < 60001 for uid in found)
