"""Where containers may connect to, as the settings say it."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from toolkit.settings.egress import Destination, parse_destination

destination = TypeAdapter(Destination)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("host:11434", (None, 11434)),
        ("192.168.1.10:11434", ("192.168.1.10/32", 11434)),
        ("192.168.1.10", ("192.168.1.10/32", None)),
        ("10.2.0.0/16:443", ("10.2.0.0/16", 443)),
        ("[fd00:0::7]:443", ("fd00::7/128", 443)),
        ("fd00::/8", ("fd00::/8", None)),
    ],
)
def test_a_destination_has_an_address_and_a_port(
    given: str, parts: tuple[str | None, int | None]
) -> None:
    found = parse_destination(destination.validate_python(given))
    assert (found.address, found.port) == parts


@pytest.mark.parametrize(
    "given",
    [
        "host",
        "host:0",
        "host:65536",
        "a.example:443",
        "10.0.0.1/8",
        "0.0.0.0/0",
        "::/0",
        "[::1",
        "",
    ],
)
def test_what_is_no_destination(given: str) -> None:
    with pytest.raises(ValidationError):
        destination.validate_python(given)
