"""What the host's way out makes of the deployment's networks: packets' size, and IPv6."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from operations.base import templates
from operations.base.quoting import Script
from operations.engine import uplink
from operations.gateway import bridges, compose, network
from tests.operations.hosts import at, commands, judged
from toolkit.settings import Settings

NONE = {"access": "", "files": "", "security": "", "compose": "", "apparmor": ""}
SMALL = "uplink 4 eth0 1450 \nnetwork bridge false 1500"
USUAL = "uplink 4 eth0 1500 \nuplink 6 eth0 1500 ra\nnetwork bridge false 1500"
ONLY_IPV6 = "uplink 6 ens3 1500 \n"
TOOLS = {"enabled": True, "socket": "socket", "browser": {"enabled": True}}
ROOTLESS = "form=rootless\nuser=990:989\nsubuid=524288\nsubgid=524288"


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


def networks(said: str, wanted: Settings, **answers: str) -> dict[str, Any]:
    with at(wanted, **{**NONE, "network": "", "uplink": said, **answers}) as host:
        host.data.name = "host"
        found = yaml.safe_load(compose._render(wanted, inputs=""))["networks"]
    return {one["name"]: one for one in found.values()}


def mtu(one: dict[str, Any]) -> str | None:
    found: str | None = one["driver_opts"].get("com.docker.network.driver.mtu")
    return found


def test_new_networks_have_the_size_of_the_uplinks_packets() -> None:
    wanted = settings(sandbox=TOOLS)
    for said, size in ((SMALL, "1450"), (USUAL, None), ("", None), ("uplink 4 eth0 9000", None)):
        found = networks(said, wanted)
        assert len(found) == 2 and {mtu(one) for one in found.values()} == {size}


def test_a_network_that_is_there_is_described_as_it_is() -> None:
    """Else Compose would make it anew, below the containers of sandboxes."""
    wanted = settings()
    name = bridges.bridge(wanted.name)
    for there, size in (("", None), ("1400", "1400"), ("1500", "1500")):
        said = f"{SMALL}\nnetwork {name} false {there}"
        assert mtu(networks(said, wanted)[name]) == size


@pytest.mark.parametrize(
    ("said", "options"),
    [
        (SMALL, "--opt com.docker.network.driver.mtu=1450"),
        (ONLY_IPV6, f"--ipv6 --subnet {uplink.subnet('openclaw-sandbox-tools')}"),
    ],
)
def test_the_sandboxes_network_is_made_alike(said: str, options: str) -> None:
    wanted = settings(sandbox={**TOOLS, "container": {"network": "bridge"}})
    there = {"access": "", "network": "", "uplink": said}
    (command,) = commands(network.made, there, settings=wanted)
    assert options in command.stdin
    (command,) = commands(network.made, {**there, "uplink": USUAL}, settings=wanted)
    assert "driver.mtu" not in command.stdin and "--ipv6" not in command.stdin


def test_who_is_outside_is_told_the_size_whatever_the_network_has() -> None:
    wanted = settings(sandbox=TOOLS)
    with at(wanted, **NONE, network=""):
        text = network.rules(wanted).content
    for name in (bridges.bridge(wanted.name), bridges.browsers_bridge(wanted.name, wanted.sandbox)):
        rule = f'iifname "{name}" oifname != "{name}" tcp flags syn tcp option maxseg size set'
        assert f"{rule} rt mtu" in text


def problems(said: str, wanted: Settings, **answers: str) -> list[Any]:
    there = {**NONE, "network": "", "uplink": said, **answers}
    return judged(uplink.uplink_problems, wanted, there)


def test_a_network_of_larger_packets_is_named_with_what_makes_it_anew() -> None:
    said = f"{SMALL}\nnetwork claw-openclaw false"
    (one,) = problems(said, settings(), system="deployed=")
    assert "claw-openclaw was made for packets of 1500 bytes" in one.what and "1450" in one.what
    assert "cd /opt/openclaw && docker compose down; then ./claw up again" in one.fix
    assert not one.stops
    assert not problems(
        f"{SMALL}\nnetwork claw-openclaw false 1450", settings(), system="deployed="
    )


def test_builds_are_warned_of_until_the_engine_is_told() -> None:
    (one,) = problems(SMALL, settings())
    assert "1450" in one.what and one.fix == "set engine.daemon to {mtu: 1450}" and not one.stops
    assert not problems(SMALL, settings(engine={"daemon": {"mtu": 1450}}))
    assert not problems(SMALL, settings(), engine='daemon=\ndaemon={"mtu": 1450}')
    assert not problems("uplink 4 eth0 1450\nnetwork bridge false 1400", settings())
    assert not problems(USUAL, settings())


# Without IPv4


def test_a_host_without_ipv4_is_refused_with_what_gives_its_containers_a_way_out() -> None:
    (one,) = problems(ONLY_IPV6, settings())
    assert "no way out over IPv4" in one.what and one.stops
    given = yaml.safe_load(one.fix.partition("engine.daemon to ")[2].partition(";")[0])
    assert given["ipv6"] is True and given["ip6tables"] is True
    assert not problems(ONLY_IPV6, settings(engine={"daemon": given}))
    assert not problems(ONLY_IPV6, settings(), engine='daemon=\ndaemon={"ipv6": true}')
    assert not problems(f"{ONLY_IPV6}network bridge true 1500", settings())


def test_what_runs_there_already_is_not_refused() -> None:
    (one,) = problems(ONLY_IPV6, settings(), system="deployed=")
    assert not one.stops


def test_a_rootless_engine_there_is_refused() -> None:
    wanted = settings(sandbox={**TOOLS, "socket": "rootless"}, engine={"daemon": {"ipv6": True}})
    (one,) = problems(ONLY_IPV6, wanted, access=ROOTLESS)
    assert "rootless" in one.what and one.stops


def test_a_route_that_goes_with_forwarding_is_named() -> None:
    wanted = settings(engine={"daemon": {"ipv6": True}})
    (one,) = problems("uplink 6 ens3 1500 ra", wanted)
    assert "net.ipv6.conf.ens3.accept_ra=2" in one.fix


def test_networks_there_have_ipv6_and_elsewhere_are_as_they_were() -> None:
    (one,) = networks(ONLY_IPV6, settings()).values()
    assert one["enable_ipv6"] is True
    assert one["ipam"]["config"] == [{"subnet": uplink.subnet("claw-openclaw")}]
    assert uplink.subnet("claw-openclaw") != uplink.subnet("claw-another")
    for said in (USUAL, "", "network bridge false", f"{ONLY_IPV6}network claw-openclaw false"):
        (one,) = networks(said, settings()).values()
        assert "enable_ipv6" not in one and "ipam" not in one


# What the host says


def test_nothing_that_a_host_says_comes_through_that_is_no_route() -> None:
    said = "uplink 4 $(id) 1450\nuplink 4 eth0 14500000\nnetwork a;b true 1\nuplink 5 eth0 1450\n"
    assert uplink.Uplink.parse(said.splitlines()) == uplink.Uplink()


ROUTES = {
    "4": "eth0 00000000 0102A8C0 0003 0 0 100 00000000 0 0 0",
    "4, of another metric": "eth1 00000000 0102A8C0 0003 0 0 50 00000000 1400 0 0",
    "4, refused": "* 00000000 00000000 0201 0 0 0 00000000 0 0 0",
    "4, a network": "eth0 0002A8C0 00000000 0001 0 0 100 00FFFFFF 0 0 0",
}
ZERO = "0" * 32
ROUTES6 = {
    "6": f"{ZERO} 00 {ZERO} 00 {ZERO} 00000400 00000001 00000000 00000003 eth0",
    "6, by a router": f"{ZERO} 00 {ZERO} 00 {ZERO} 00000400 00000001 00000000 00450003 eth0",
    "6, refused": f"{ZERO} 00 {ZERO} 00 {ZERO} ffffffff 00000001 00000000 00200200 lo",
}


@pytest.mark.parametrize(
    ("routes", "found"),
    [
        (("4",), ["uplink 4 eth0 1450 "]),
        (("4", "4, of another metric", "4, a network"), ["uplink 4 eth1 1400 "]),
        (("4, refused", "4, a network", "6"), ["uplink 6 eth0 1450 "]),
        (("6, refused", "4"), ["uplink 4 eth0 1450 "]),
        (("6, by a router",), ["uplink 6 eth0 1450 ra"]),
        ((), []),
    ],
)
def test_the_routes_of_a_host(tmp_path: Any, routes: tuple[str, ...], found: list[str]) -> None:
    for name, known in (("route", ROUTES), ("ipv6_route", ROUTES6)):
        lines = [known[route] for route in routes if route in known]
        (tmp_path / name).write_text("\n".join(["Iface Destination", *lines, ""]))
    (tmp_path / "mtu").write_text("1450\n")
    (tmp_path / "accept_ra").write_text("1\n")
    script = templates.render("network/uplink.sh.j2", docker=Script("DOCKER_HOST=x"), networks=[])
    for path, name in (
        ("/proc/net/ipv6_route", "ipv6_route"),
        ("/proc/net/route", "route"),
        ("/sys/class/net/$2/mtu", "mtu"),
        ("/proc/sys/net/ipv6/conf/$2/accept_ra", "accept_ra"),
    ):
        assert path in script
        script = Script(script.replace(path, str(tmp_path / name)))
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines() == found, done.stderr
