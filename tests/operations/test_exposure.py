"""How people reach the Control UI: settings, what is found out before, and what a host is given."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pydantic import ValidationError

from commandline.screen.given import Given
from commandline.screen.reports import Report
from operations.configuration import stage as configuration
from operations.exposure import caddy, stage
from operations.gateway import compose, container, front, network
from tests.operations.hosts import FakeHost, at, commands, judged
from toolkit.settings import Settings
from toolkit.settings.contradictions import general
from toolkit.settings.sources import machines
from toolkit.terminal import Screen

DOMAIN = "claw.example.org"
FINE = {
    "system": "systemd=\ntitle=Debian GNU/Linux 12 (bookworm)",
    "packages": "installed caddy 2.6.2-5",
    "exposure": "resolved 203.0.113.7\nresolved 2001:db8::7\nown 203.0.113.7\nown 2001:db8::7",
}
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture(autouse=True)
def no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine knows no address of the host's but what the settings say."""
    monkeypatch.setattr(stage, "_connected", list)


def settings(**more: Any) -> Settings:
    https = {"domain": DOMAIN, **more.pop("https", {})}
    return Settings.model_validate({"exposure": {"https": https}, **more})


def said(wanted: Settings, **answers: str) -> str:
    found = judged(stage.problems, wanted, FINE | answers)
    return "\n".join(f"{one.what} | {one.fix}" for one in found)


def exposed(*lines: str) -> dict[str, str]:
    return {"exposure": "\n".join([FINE["exposure"], *lines])}


@pytest.mark.parametrize("given", ["tunnel", {}, {"https": {}}])
def test_a_tunnel_is_what_nobody_has_to_ask_for(given: Any) -> None:
    assert Settings.model_validate({"exposure": given}) == Settings() or given == {"https": {}}
    assert Settings.model_validate({"exposure": given}).exposure.profile == "tunnel"


@pytest.mark.parametrize(
    "domain",
    ["claw", "a_b.example.org", "-a.example.org", "1.2.3.4", "a b.org", "a.org\nb", "*.a.b"],
)
def test_a_domain_is_the_name_of_one_host(domain: str) -> None:
    with pytest.raises(ValidationError):
        settings(https={"domain": domain})


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({}, []),
        ({"gateway": {"address": "0.0.0.0"}}, ["gateway.address"]),
        ({"gateway": {"trusted_proxies": ["10.0.0.1"]}}, ["gateway.trusted_proxies"]),
        ({"gateway": {"port": 443}}, ["gateway.port"]),
        ({"gateway": {"port": 65530}}, ["gateway.port"]),
        ({"gateway": {"allowed_origins": ["https://other.example.org"]}}, []),
        ({"engine": {"daemon": {"userland-proxy": False}}}, ["engine.daemon.userland-proxy"]),
        ({"https": {"domain": None, "email": "me@example.org"}}, ["exposure.https.email"]),
    ],
)
def test_old_keys_that_say_otherwise_are_one_error_each(
    given: dict[str, Any], keys: list[str]
) -> None:
    assert [one.keys[0] for one in general.problems(settings(**given))] == keys


def test_two_deployments_on_one_machine_have_a_domain_and_a_port_each() -> None:
    one = settings(name="one")
    for port, keys in ((18790, []), (18799, ["gateway.port"]), (18779, ["gateway.port"])):
        other = Settings.model_validate({"name": "other", "gateway": {"port": port}})
        if port == 18779:
            other = settings(
                name="other", gateway={"port": port}, https={"domain": "b.example.org"}
            )
        assert [key for key, _ in machines._clashes(other, one)] == keys
        assert [key for key, _ in machines._clashes(one, other)] == keys
    same = settings(name="other", gateway={"port": 20000})
    assert [key for key, _ in machines._clashes(same, one)] == ["exposure.https.domain"]


def test_nothing_is_found_where_everything_is_right() -> None:
    assert said(settings()) == ""
    assert not judged(stage.problems, Settings(), {})


@pytest.mark.parametrize(
    ("answers", "more", "expected"),
    [
        ({"system": ""}, {}, "needs systemd"),
        (exposed("foreign"), {}, "import /etc/caddy/openclaw-pyinfra/*.caddy"),
        ({"packages": "", **exposed("unknown")}, {}, "has no package caddy"),
        (
            exposed("listener 80 0100007F nginx (pid 7)"),
            {},
            "port 80 of the host is in use by nginx",
        ),
        (
            {"occupied": '["container","web","","","","","x","running","0.0.0.0:443->443/tcp",""]'},
            {},
            "port 443 of the host is in use by the container web",
        ),
        ({"exposure": "own 203.0.113.7"}, {}, "has no address in the DNS"),
        (exposed("resolved 198.51.100.9"), {}, "leads to 198.51.100.9, which is no address"),
        (exposed("resolved 2001:db8::bad"), {}, "leads to 2001:db8::bad"),
        (exposed("unreachable curl: (6) no"), {}, "cannot be reached from the host: curl: (6) no"),
        (exposed("certificate 3600 7776000"), {}, "ends in 1 hours and was not renewed"),
        ({}, {"https": {"acme_ca_root": "/nowhere"}}, "is no certificate in PEM form"),
        (
            {"access": "form=rootless"},
            {"sandbox": {"enabled": True}},
            "an engine without root connects to the gateway from one address",
        ),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_touched(
    answers: dict[str, str], more: dict[str, Any], expected: str
) -> None:
    found = said(settings(**more), **answers)
    assert expected in found
    assert found.count("|") == 1, found


@pytest.mark.parametrize("more", [["198.51.100.9"], []])
def test_an_address_of_a_router_counts_if_it_is_named(more: list[str]) -> None:
    there = caddy.Web(resolved=("198.51.100.9",), own=("10.0.0.5",))
    assert bool(list(stage.domain_problems(DOMAIN, there, more))) is not bool(more)


def test_a_hosts_name_in_its_own_hosts_file_is_no_address() -> None:
    assert caddy.Web.parse(["resolved 127.0.1.1", "resolved 203.0.113.7"]).resolved == (
        "203.0.113.7",
    )


def test_the_site_names_what_is_given_and_hides_nobody_behind_a_header() -> None:
    with at(settings()):
        (site,) = caddy.wanted(settings())
    assert site.path == "/etc/caddy/openclaw-pyinfra/openclaw.caddy"
    assert "reverse_proxy 127.0.0.1:18799 {" in site.content
    assert "header_up -Forwarded" in site.content and "header_up -X-Real-IP" in site.content
    assert "Strict-Transport-Security max-age=31536000" in site.content
    assert "tls" not in site.content


def test_another_authority_has_its_certificate_beside_the_site(tmp_path: Any) -> None:
    (tmp_path / "root.pem").write_text(PEM.rstrip("\n"))
    https = {
        "email": "me@example.org",
        "acme_ca": "https://ca.example.org/directory",
        "acme_ca_root": str(tmp_path / "root.pem"),
    }
    with at(settings(https=https)):
        site, root = caddy.wanted(settings(https=https))
    assert "tls me@example.org {" in site.content
    assert f"ca_root {root.path}" in site.content and root.content == PEM


def test_the_gateway_believes_caddy_alone() -> None:
    def trusted(wanted: Settings, **answers: str) -> Any:
        with at(wanted, **answers):
            return configuration.owned(wanted, {}, configuration._proxies(wanted))["gateway"].get(
                "trustedProxies", "not owned"
            )

    assert trusted(settings()) == [front.ADDRESS]
    assert trusted(settings(sandbox={"enabled": True, "socket": "host"})) == ["127.0.0.1"]
    assert trusted(Settings()) == "not owned"
    assert trusted(Settings(), front="site") is None
    old = Settings.model_validate({"gateway": {"trusted_proxies": ["10.0.0.1"]}})
    assert trusted(old, front="site") == ["10.0.0.1"]
    origins = configuration.allowed_origins(settings().gateway, settings().exposure)
    assert origins[-1] == f"https://{DOMAIN}"


def test_the_rules_tell_caddy_from_a_tunnel() -> None:
    with at(settings()):
        rules = network.rules(settings()).content
    assert "tcp dport 18799 dnat to :18789" in rules
    assert f"ct status dnat snat ip to {front.ADDRESS}" in rules
    with at(Settings()):
        assert "type nat" not in network.rules(Settings()).content


READY = "active\nenabled\nserving"


def test_a_second_run_changes_nothing() -> None:
    wanted = settings()
    with at(wanted):
        expected = caddy.wanted(wanted)
    there = "\n".join(
        f"regular file|644|0:0|{stage.files.digest(one.content)}|{one.path}"
        for one in [*expected, caddy.caddyfile()]
    )
    snapshot = FINE | {"exposure": READY, "files": there, "front": "site"}
    assert not commands(stage.served, snapshot, settings=wanted)
    stopped = snapshot | {"exposure": "enabled\nserving"}
    assert commands(stage.served, stopped, snapshot, settings=wanted)


def test_a_file_of_caddys_own_is_written_only_where_there_is_none() -> None:
    theirs = f"regular file|644|0:0|{'0' * 64}|{caddy.CADDYFILE}"
    for there, written in (("", True), (theirs, False)):
        (command,) = commands(stage.served, FINE | {"files": there}, settings=settings())
        assert ("admin off" in command.stdin) is written


def test_back_to_a_tunnel_the_site_goes_and_nothing_else() -> None:
    assert not commands(stage.served, {}, settings=Settings())
    (command,) = commands(stage.served, {"front": "site"}, settings=Settings())
    assert "front_gone" in command.stdin and "packages_purge" not in command.stdin


def test_the_summary_says_where_the_control_ui_is() -> None:
    host: Any = FakeHost({})
    host.data = {}
    out = io.StringIO()
    report = Report(Screen(file=out, width=200), Screen(file=out), Given("203.0.113.7"))
    report._next_steps(host, settings())
    assert f"Control UI  https://{DOMAIN}/\n" in out.getvalue()
    assert "./claw devices approve 203.0.113.7" in out.getvalue()
    assert "./claw open 203.0.113.7" in out.getvalue()


def test_caddys_port_is_published_on_the_loopback_and_looked_at() -> None:
    for wanted, ports in (
        (Settings(), '["127.0.0.1:18789:18789"]'),
        (settings(), '["127.0.0.1:18789:18789", "127.0.0.1:18799:18799"]'),
    ):
        with at(wanted, compose="", env=""):
            assert f"ports: {ports}\n" in compose._render(wanted, "")
            found = {
                f"{port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]
                for port in (18799, 18789)[0 if wanted.front_port else 1 :]
            }
            is_now, expected = container.hardening(wanted, {}, "", found)["published"]
            assert is_now == expected


def test_a_host_that_is_closed_is_open_for_caddy() -> None:
    assert settings().public_ports == ["443/tcp", "80/tcp"]
    assert Settings().public_ports == []
