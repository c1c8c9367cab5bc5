"""Who reaches the containers, and what they reach: the rules, and when they are set."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from typing import Any

import pytest

from operations import verification
from operations.base.files import digest
from operations.configuration import sandbox_policy
from operations.gateway import bridges, network
from tests.operations.hosts import at, commands
from toolkit.settings import Settings

ROOTLESS = "form=rootless\nuser=990:989\nsubuid=524288\nsubgid=524288"
BROWSERS = {"enabled": True, "socket": "socket", "browser": {"enabled": True}}
TOOLS = {**BROWSERS, "container": {"network": "bridge"}}


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


def rules(wanted: Settings, **answers: str) -> str:
    with at(wanted, **{"network": "", "access": "", "files": "", **answers}):
        return network.rules(wanted).content


def chain(text: str, name: str) -> list[str]:
    found = re.search(rf"^  chain {name} {{\n(.*?)^  }}", text, re.DOTALL | re.MULTILINE)
    return [line.strip() for line in found[1].splitlines()] if found else []


@pytest.mark.parametrize("name", ["openclaw", "a", "a-very-long-name-of-a-deployment"])
def test_the_name_of_a_bridge_is_one_that_the_kernel_takes(name: str) -> None:
    assert len(bridges.bridge(name)) <= 15
    assert bridges.bridge(name) != bridges.bridge(settings(name=name + "2").name)


# When they are set


def converged(said: str) -> dict[str, str]:
    wanted = settings()
    with at(wanted, network="", access="", files=""):
        there = [network.rules(wanted), *network.units(wanted)]
    lines = [f"regular file|644|0:0|{digest(file.content)}|{file.path}" for file in there]
    return {"network": said, "access": "", "files": "\n".join(lines)}


def test_they_are_set_once() -> None:
    answers = converged("closed\nsystemd\nkept")
    assert commands(network.closed, answers, settings=settings()) == []
    without_systemd = {**answers, "network": "closed", "files": answers["files"].split("\n")[0]}
    assert commands(network.closed, without_systemd, settings=settings()) == []


@pytest.mark.parametrize(
    ("said", "files"),
    [
        ("systemd\nkept", None),  # somebody emptied the table, or took a rule out of it
        ("closed\nsystemd", None),  # nobody would bring them back
        ("closed\nsystemd\nkept", ""),
        ("", ""),
    ],
)
def test_they_are_set_where_anything_is_missing(said: str, files: str | None) -> None:
    answers = converged(said) | ({} if files is None else {"files": files})
    (command,) = commands(network.closed, answers, settings=settings())
    assert shlex.quote(rules(settings())) in command.stdin
    assert ("systemctl restart openclaw-closed.service" in command.stdin) is ("systemd" in said)
    # A deployment of an earlier release has its one rule in another table.
    assert "iptables -w -t mangle -D" in command.stdin


def test_the_engines_bridge_is_replaced_by_a_network_of_the_deployments_own() -> None:
    wanted = settings(sandbox=TOOLS)
    with at(wanted, access="", security="", apparmor=""):
        made = sandbox_policy.configuration(wanted)
    assert made["agents"]["defaults"]["sandbox"]["docker"]["network"] == "openclaw-sandbox-tools"
    (command,) = commands(network.made, {"access": "", "network": ""}, settings=wanted)
    assert f"bridge.name={bridges.tools_bridge(wanted)} openclaw-sandbox-tools" in command.stdin
    there = {
        "access": "",
        "network": f"bridge openclaw-sandbox-tools {bridges.tools_bridge(wanted)}",
    }
    assert commands(network.made, there, settings=wanted) == []
    assert commands(network.made, {"network": ""}, settings=settings(sandbox=BROWSERS)) == []


# What they say


def test_loopback_is_closed_in_every_form_before_any_translation() -> None:
    for wanted, access in ((settings(), ""), (settings(sandbox={"enabled": True}), ROOTLESS)):
        first, v4, v6 = chain(rules(wanted, access=access), "loopback")
        assert "hook prerouting priority raw" in first
        assert v4 == 'iifname != "lo" ip daddr 127.0.0.0/8 drop'
        assert v6 == 'iifname != "lo" ip6 daddr ::1 drop'


def test_every_bridge_is_closed_in_both_directions() -> None:
    wanted = settings(sandbox=TOOLS)
    text = rules(wanted)
    for name in (
        bridges.bridge(wanted.name),
        bridges.browsers_bridge(wanted.name, wanted.sandbox),
        bridges.tools_bridge(wanted),
    ):
        assert f'oifname "{name}" iifname != "{name}" jump into' in chain(text, "forward")
        assert f'iifname "{name}" oifname != "{name}" jump out' in chain(text, "forward")
        assert f'iifname "{name}" jump to_host' in chain(text, "input")
    assert chain(text, "into")[-1] == "drop"


def test_a_network_of_the_users_is_closed_from_inside_alone() -> None:
    own = {**BROWSERS, "container": {"network": "mine"}}
    text = rules(settings(sandbox=own), network="bridge mine br-0123456789ab\nbridge x y;z")
    assert 'iifname "br-0123456789ab" jump to_host' in chain(text, "input")
    assert 'oifname "br-0123456789ab"' not in text
    assert "y;z" not in text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1", "ct original ip daddr != 127.0.0.1 drop"),
        ("192.0.2.7", "ct original ip daddr != 192.0.2.7 drop"),
        ("2001:db8::7", "ct original ip6 daddr != 2001:db8::7 drop"),
    ],
)
def test_a_port_is_reached_on_its_own_address_alone(address: str, said: str) -> None:
    assert said in rules(settings(gateway={"address": address}))


def test_one_on_every_address_is_reached_on_every_address() -> None:
    assert "daddr !=" not in rules(settings(gateway={"address": "0.0.0.0"}))


def test_what_containers_reach_is_a_setting() -> None:
    text = rules(settings())
    assert any("169.254.0.0/16" in line for line in chain(text, "destinations"))
    assert any("fd00:ec2::/32" in line for line in chain(text, "destinations"))
    assert chain(text, "to_host")[-1].startswith("reject")
    assert chain(text, "to_published")[-1].startswith("reject")
    assert chain(text, "private") == []

    egress = {"metadata": "allow", "host": "allow", "private": "deny"}
    text = rules(
        settings(egress={**egress, "allowed": ["10.1.2.3:11434", "host:8080", "fd00::/8"]})
    )
    assert "169.254.0.0/16" not in text
    assert "reject" not in chain(text, "to_host")[-1]
    assert any("10.0.0.0/8" in line for line in chain(text, "private"))
    allowed = "\n".join(chain(text, "destinations"))
    assert "ip daddr 10.1.2.3/32 meta l4proto tcp ct original proto-dst 11434 accept" in allowed
    assert "ct original ip6 daddr fd00::/8 accept" in allowed
    assert "meta l4proto tcp ct original proto-dst 8080 accept" in chain(text, "allowed_ports")


def test_sandboxes_never_reach_the_gateways_port() -> None:
    wanted = settings(sandbox=TOOLS, egress={"host": "allow"})
    refused = [line for line in chain(rules(wanted), "to_host") if "th dport 18789 reject" in line]
    assert len(refused) == 2 and not any(bridges.bridge(wanted.name) in line for line in refused)


def test_an_engine_without_root_is_known_by_its_user() -> None:
    text = rules(settings(sandbox={"enabled": True, "socket": "host"}), access=ROOTLESS)
    assert 'meta skuid "openclaw-engine" jump by_user' in chain(text, "output")
    assert 'meta skuid "openclaw-gateway" jump by_user' in chain(text, "output")
    assert 'iifname "claw' not in text


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft")
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"sandbox": TOOLS, "egress": {"private": "deny", "allowed": ["host:1", "[fd00::7]:443"]}},
        {"gateway": {"address": "::"}, "egress": {"host": "allow", "metadata": "allow"}},
        {"name": "0-a_b", "gateway": {"address": "2001:db8::7"}},
    ],
)
def test_nftables_takes_them(values: dict[str, Any]) -> None:
    done = subprocess.run(
        ["unshare", "--net", "nft", "-c", "-f", "-"],
        input=rules(settings(**values)),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


# What is said of it


def test_what_cannot_be_judged_is_neither_closed_nor_open() -> None:
    (check,) = verification.parse("closed unknown not judged from outside: why\n")
    assert (check.outcome, verification.fatal(check)) == ("unknown", False)
    (check,) = verification.parse("closed failed a neighbour reaches 127.0.0.1:18789\n")
    assert verification.fatal(check)


def test_a_model_server_on_the_host_is_to_be_allowed() -> None:
    provider = {"models": {"providers": {"o": {"baseUrl": "http://host.docker.internal:11434/v1"}}}}
    (warning,) = network.egress_warnings(settings(openclaw=provider))
    assert not warning.stops and "host:11434" in warning.fix
    for egress in ({"allowed": ["host:11434"]}, {"host": "allow"}):
        assert not [*network.egress_warnings(settings(openclaw=provider, egress=egress))]
