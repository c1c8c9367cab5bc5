"""The agents of openclaw.json: in the release's form, and those of the user untouched."""

from __future__ import annotations

import pytest

from operations.configuration import agents
from tests.operations.test_sandbox_policy import OLD, pending, settings, written
from toolkit.settings import Settings


def test_the_first_agent_stays_when_another_joins() -> None:
    agents = written(settings({"agents": {"family": {}}}))["agents"]
    assert set(agents["entries"]) == {"main", "family"}
    assert agents["entries"]["main"]["workspace"] == "/home/node/.openclaw/workspace"
    assert agents["ownership"] == "explicit"
    assert written(settings({"agents": {"x": {}}}))["tools"]["sessions"] == {"visibility": "tree"}
    assert "sessions" not in written(settings({"agents": {"main": {}}}))["tools"]
    alone = written(settings({"agents": {"main": {}}}))["agents"]
    assert set(alone) == {"defaults"}


def test_agents_that_are_there_keep_what_is_theirs() -> None:
    entries = {"bob": {"model": "m", "workspace": "/w"}, "eve": {"sandbox": {"mode": "off"}}}
    there = {"agents": {"entries": entries, "ownership": "explicit"}}
    found = written(settings({"agents": {"bob": {"scope": "session"}}}), there)["agents"]["entries"]
    assert found["bob"] == {"model": "m", "workspace": "/w", "sandbox": {"scope": "session"}}
    assert found["eve"] == entries["eve"]
    assert set(found) == {"bob", "eve"}


def test_an_old_release_has_a_list_of_which_other_entries_stay() -> None:
    bob = {"id": "bob", "model": "m", "sandbox": {"mode": "off", "scope": "shared"}}
    there = {"agents": {"list": [{"id": "main", "default": True}, bob]}}
    wanted = settings({"agents": {"bob": {"mode": "all"}, "family": {}}}, gateway=OLD)
    found = written(wanted, there)["agents"]
    assert "entries" not in found and "ownership" not in found
    assert found["list"] == [
        {"id": "main", "default": True},
        {"id": "bob", "model": "m", "sandbox": {"mode": "all"}},
        {"id": "family", "workspace": "/home/node/.openclaw/workspace-family"},
    ]
    assert pending(wanted, written(wanted, there)) == []
    fresh = written(wanted)["agents"]["list"]
    assert [entry["id"] for entry in fresh] == ["main", "bob", "family"]


@pytest.mark.parametrize(
    ("gateway", "there", "keyed"),
    [
        ({}, {}, True),
        ({"version": "2026.8.1"}, {}, True),
        ({"version": "2026.7.35"}, {}, False),
        ({"source": "image", "image": "ghcr.io/x/openclaw:2026.2.26-slim"}, {}, False),
        ({"source": "image", "image": "localhost:5000/openclaw:2026.9.6"}, {}, True),
        ({"source": "image", "image": "x/openclaw:latest"}, {}, True),
        ({"source": "image", "image": "x/openclaw:latest"}, {"list": []}, False),
        ({"source": "image", "image": "x/openclaw:latest"}, {"entries": {}, "list": []}, True),
        ({"source": "git", "repository": "/srv/x", "ref": "v2026.2.26"}, {}, False),
        ({"source": "git", "repository": "/srv/x", "ref": "main"}, {}, True),
    ],
)
def test_the_form_of_the_roster(gateway: dict, there: dict, keyed: bool) -> None:
    found = agents.of(Settings.model_validate({"gateway": gateway}), {"agents": there})
    assert found.keyed == keyed
