"""A proxy of one's own that knows its users: who is believed, who gets there, what is refused."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from commandline.run.outside import Expected
from commandline.screen.given import Given
from commandline.screen.reports import Report
from operations.configuration import stage as configuration
from operations.gateway import compose, network, state_copy
from operations.hardening import firewall
from operations.lifecycle import rotation
from tests.operations.hosts import FakeHost, at, judged
from toolkit.settings import Settings
from toolkit.settings.contradictions import general
from toolkit.terminal import Screen

PROXY = {
    "origin": "https://claw.example.org",
    "address": "10.0.0.5",
    "proxies": ["10.0.0.9"],
    "users": ["me@example.org"],
}


def settings(more: dict[str, Any] | None = None, **proxy: Any) -> Settings:
    return Settings.model_validate({"exposure": {"proxy": {**PROXY, **proxy}}, **(more or {})})


@pytest.mark.parametrize(
    ("more", "proxy", "keys"),
    [
        ({}, {}, set()),
        ({}, {"origin": "http://claw.example.org"}, {"exposure.proxy.origin"}),
        ({}, {"users": []}, {"exposure.proxy.users"}),
        ({}, {"proxies": []}, {"exposure.proxy.proxies"}),
        ({}, {"address": None}, {"exposure.proxy.address"}),
        (
            {},
            {"origin": None, "address": None},
            {"exposure.proxy.proxies", "exposure.proxy.users"},
        ),
        ({}, {"user_header": "Cookie"}, {"exposure.proxy.user_header"}),
        ({"gateway": {"address": "0.0.0.0"}}, {}, {"gateway.address"}),
        ({"gateway": {"trusted_proxies": ["10.0.0.0/8"]}}, {}, {"gateway.trusted_proxies"}),
        (
            {"sandbox": {"enabled": True, "socket": "host"}},
            {},
            {"sandbox.socket", "gateway.address"},
        ),
        ({"sandbox": {"enabled": True, "socket": "rootless"}}, {}, {"sandbox.socket"}),
        (
            {"openclaw": {"gateway": {"auth": {"trustedProxy": {"allowLoopback": True}}}}},
            {},
            {"openclaw.gateway.auth.trustedProxy.allowLoopback"},
        ),
    ],
)
def test_what_contradicts_it_is_one_error_each(
    more: dict[str, Any], proxy: dict[str, Any], keys: set[str]
) -> None:
    assert {one.keys[0] for one in general.problems(settings(more, **proxy))} == keys


@pytest.mark.parametrize("wrong", ["::1", "2001:db8::9", "127.0.0.1", "0.0.0.0", "10.0.0.0/8", "x"])
def test_a_proxy_has_one_address_that_comes_through_an_engine(wrong: str) -> None:
    with pytest.raises(ValidationError):
        settings(proxies=[wrong])


def test_the_gateway_goes_by_the_proxys_word_and_has_no_token() -> None:
    wanted = settings()
    with at(wanted):
        gateway = configuration.owned(wanted, {}, configuration._proxies(wanted))["gateway"]
    assert gateway["trustedProxies"] == ["10.0.0.9"]
    assert gateway["auth"]["mode"] == "trusted-proxy" and gateway["auth"]["token"] is None
    trusted = gateway["auth"]["trustedProxy"]
    assert trusted["allowUsers"] == ["me@example.org"] and trusted["allowLoopback"] is None
    assert trusted["requiredHeaders"] == ["x-forwarded-proto", "x-forwarded-host"]
    assert "https://claw.example.org" in gateway["controlUi"]["allowedOrigins"]
    with at(wanted, compose="", env=""):
        text = compose._render(wanted, "")
    assert '"10.0.0.5:18789:18789"' in text and 'OPENCLAW_GATEWAY_TOKEN: ""' in text
    with at(Settings(), compose="", env=""):
        assert "OPENCLAW_GATEWAY_PASSWORD" not in compose._render(Settings(), "")


def test_back_to_a_tunnel_no_proxy_is_believed_any_more() -> None:
    believed = {
        "auth": {"mode": "trusted-proxy", "trustedProxy": {}},
        "trustedProxies": ["1.2.3.4"],
    }
    with at(Settings()):
        back = configuration.owned(Settings(), {"gateway": believed})["gateway"]
        own = configuration.owned(Settings(), {"gateway": {"trustedProxies": ["1.2.3.4"]}})
    assert back["auth"]["mode"] == "token" and back["auth"]["trustedProxy"] is None
    assert back["trustedProxies"] is None
    assert "trustedProxies" not in own["gateway"], "what somebody has set by himself stays"


def test_only_the_proxy_gets_to_the_gateway() -> None:
    wanted = settings({"host": {"firewall": {"enabled": True}}})
    with at(wanted):
        assert "proto-dst 18789 ip saddr != { 10.0.0.9 } drop" in network.rules(wanted).content
        closed = firewall.rules(wanted).content
    assert "ip saddr 10.0.0.9 meta l4proto tcp ct original proto-dst 18789 accept" in closed
    assert wanted.public_ports == []
    with at(Settings()):
        assert "saddr !=" not in network.rules(Settings()).content
    assert 18789 in Expected.of(wanted, 22, closed=False).ours
    here = Expected.of(settings(proxies=["10.0.0.9"]), 22, closed=False)
    assert 18789 not in here.wanted


def test_a_copy_of_its_state_is_given_no_token_either(tmp_path: Path) -> None:
    (tmp_path / ".openclaw").mkdir()
    (tmp_path / ".openclaw/openclaw.json").write_text('{"mode": "trusted-proxy"}')

    def kept(wanted: Settings) -> str:
        (tmp_path / ".openclaw/.env").unlink(missing_ok=True)
        subprocess.run(
            ["sh", "-euc", state_copy.environment(wanted.exposure)],
            input="OPENCLAW_GATEWAY_TOKEN=x\nA=OPENCLAW_GATEWAY_TOKEN=\n",
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            text=True,
            check=True,
        )
        return (tmp_path / ".openclaw/.env").read_text()

    assert kept(settings()) == "OPENCLAW_GATEWAY_PASSWORD=x\nA=OPENCLAW_GATEWAY_TOKEN=\n"
    assert kept(Settings()).startswith("OPENCLAW_GATEWAY_TOKEN=x")


def test_there_is_no_token_to_rotate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "chosen", str)
    found = judged(rotation.problems, settings(), {})
    assert any("nobody comes in by a token" in one.what for one in found)


def test_the_summary_names_the_proxy_and_no_token() -> None:
    host: Any = FakeHost({})
    host.data = {}
    out = io.StringIO()
    report = Report(Screen(file=out, width=200), Screen(file=out), Given("203.0.113.7"))
    report._next_steps(host, settings())
    said = out.getvalue()
    assert "Control UI  https://claw.example.org/\n" in said
    assert "10.0.0.9 to http://10.0.0.5:18789, and nobody else" in said
    assert "./claw token" not in said and "Tunnel" not in said
