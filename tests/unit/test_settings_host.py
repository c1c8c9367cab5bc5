"""The `host` section: its preset, and what its values accept."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from toolkit.settings import Settings
from toolkit.settings.host import HostSettings

PARTS = [name for name in HostSettings.model_fields if name != "preset"]


def host(**given: Any) -> HostSettings:
    return Settings.model_validate({"host": given}).host


def on(given: HostSettings) -> list[str]:
    return [name for name in PARTS if getattr(given, name).enabled]


def test_nothing_is_on_by_default_and_the_preset_turns_all_on() -> None:
    assert on(host()) == []
    assert on(host(preset="vps")) == PARTS


def test_each_part_is_set_alone() -> None:
    for name in PARTS:
        assert on(host(**{name: {"enabled": True}})) == [name]
        others = [one for one in PARTS if one != name]
        assert on(host(preset="vps", **{name: {"enabled": False}})) == others
    assert host(preset="vps", firewall={"allow": [80]}).firewall.enabled


def test_a_port_is_a_number_or_has_its_protocol() -> None:
    assert host(firewall={"allow": [443, "80", "51820/udp"]}).firewall.allow == (
        "443/tcp",
        "80/tcp",
        "51820/udp",
    )


@pytest.mark.parametrize(
    "given",
    [
        {"firewall": {"allow": [0]}},
        {"firewall": {"allow": [65536]}},
        {"firewall": {"allow": [True]}},
        {"firewall": {"allow": ["ssh"]}},
        {"firewall": {"allow": ["22; drop"]}},
        {"unattended_upgrades": {"reboot": "24:00"}},
        {"swap": {"size": "all"}},
        {"preset": "vpn"},
        {"firewal": {}},
    ],
)
def test_what_is_none_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        host(**given)
