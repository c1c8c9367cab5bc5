"""Hosts of these tests say nothing of uids: containers run as the user of OpenClaw's images."""

from __future__ import annotations

import pytest

from operations import container_user


@pytest.fixture(autouse=True)
def images_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        container_user, "chosen", lambda _name, _state, given: given or container_user.IMAGES
    )
    monkeypatch.setattr(container_user, "moving", lambda directory, wanted: None)
