"""The rules of a deployment in namespaces of their own: a host with its bridges, a neighbour, the
world behind it. What an engine does is done by a few lines of nftables, as engines before 28 do it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from operations.gateway import bridges, network
from operations.hardening import firewall
from tests.e2e.harness import merged, until
from tests.operations.hosts import at
from toolkit.settings import Settings

pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft"),
]

LISTEN = """
import socket, sys, threading
def serve(listener):
    while True: listener.accept()[0].close()
for port in map(int, sys.argv[1:]):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=serve, args=(listener,)).start()
print("ready", flush=True)
"""
CONNECT = """
import concurrent.futures, socket, sys
def tried(target):
    address, _, port = target.rpartition(",")
    try:
        socket.create_connection((address, int(port)), 1).close()
        return target
    except OSError:
        return ""
with concurrent.futures.ThreadPoolExecutor(40) as pool:
    print(*filter(None, pool.map(tried, sys.argv[1:])))
"""
# What an engine before 28 does for `-p PUBLISHED:PORT:PORT`, whatever interface it comes from.
ENGINE = """
table ip engine {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    ip daddr {published} tcp dport 18789 dnat to 172.31.1.2:18789
    ip daddr 127.0.0.1 tcp dport 9222 dnat to 172.31.2.3:9222
    ip daddr 192.0.2.1 tcp dport 5432 dnat to 172.31.9.2:5432
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr 172.31.0.0/16 oifname "world" masquerade
  }}
}}
"""
HOST = {"192.0.2.1,8099", "172.31.1.1,8099", "2001:db8:2::1,8099"}
METADATA = {"169.254.169.254,80", "fd00:ec2::254,80"}
PRIVATE = {"10.77.7.7,80", "fd77::7,80"}
INTERNET = {"203.0.113.9,80", "2001:db8:99::9,80"}
CONTAINERS = {"172.31.1.2,18789", "172.31.2.3,9222", "fd31:1::2,18789", "fd31:2::3,9222"}
BRIDGED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
LOOPBACK = {"127.0.0.1,18789", "127.0.0.1,9222"}


@dataclass
class World:
    """Namespaces by name, and what listens in them."""

    prefix: str
    bridges: list[str]
    listeners: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, where: str, command: str, **options: Any) -> str:
        argv = ["ip", "netns", "exec", f"{self.prefix}-{where}", "sh", "-ec", command]
        return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **options).stdout

    def add(self, where: str) -> None:
        subprocess.run(["ip", "netns", "add", f"{self.prefix}-{where}"], check=True)
        self.run(where, "ip link set lo up")

    def link(self, where: str, name: str, other: str, *addresses: str) -> None:
        """A link from `where`, named `name` there, to the host, where it is named `other`."""
        self.run(
            "host", f"ip link add {other} type veth peer name {name} netns {self.prefix}-{where}"
        )
        self.run("host", f"ip link set {other} up")
        for address in addresses:
            self.run(where, f"ip addr add {address} dev {name} {nodad(address)}")
        self.run(where, f"ip link set {name} up")

    def listen(self, where: str, *ports: int) -> None:
        argv = ["ip", "netns", "exec", f"{self.prefix}-{where}", sys.executable, "-c", LISTEN]
        process = subprocess.Popen([*argv, *map(str, ports)], stdout=subprocess.PIPE, text=True)
        self.listeners.append(process)
        assert process.stdout and process.stdout.readline() == "ready\n"

    def reached(self, where: str, targets: set[str], user: str = "") -> set[str]:
        """Those of `ADDRESS,PORT` that take a connection from there, by a user of the host."""
        who = ["setpriv", f"--reuid={user}", "--clear-groups"] if user else []
        # This machine's own Python: another one may be where that user may not look.
        python = "/usr/bin/python3" if user else sys.executable
        argv = ["ip", "netns", "exec", f"{self.prefix}-{where}", *who, python, "-c", CONNECT]
        done = subprocess.run([*argv, *targets], check=True, stdout=subprocess.PIPE, text=True)
        return set(done.stdout.split())

    def opens(
        self, where: str, targets: set[str], wanted: set[str], what: str = "", user: str = ""
    ) -> None:
        """Of the targets those `wanted` are reached, for which a busy machine may need more than
        one try; another one is an error the first time."""

        def all_of_them() -> bool:
            found = self.reached(where, targets, user)
            assert found <= wanted, f"{what}: {user or where} reaches {sorted(found - wanted)}"
            return found == wanted

        until(all_of_them, 30, f"{what}: {user or where} reaches {sorted(wanted)}")

    def rules(self, **values: Any) -> None:
        """Set the rules of a deployment with sandboxes on a bridge, and browsers."""
        self.run("host", "nft -f -", input=content(settings(**values)))

    def published(self, address: str) -> None:
        self.run("host", "nft delete table ip engine 2>/dev/null || :")
        self.run("host", "nft -f -", input=ENGINE.format(published=address))

    def close(self, allow: list[Any], ssh: int = 22, uplink: str = "") -> None:
        """Set the rules of the host itself."""
        wanted = settings(host={"firewall": {"enabled": True, "allow": allow}})
        said = f"ssh {ssh}" + (f"\nuplink {uplink}" if uplink else "")
        with at(wanted, firewall=said):
            self.run("host", "nft -f -", input=firewall.rules(wanted).content)

    def open(self) -> None:
        self.run("host", "nft delete table inet openclaw-openclaw 2>/dev/null || :")

    def remove(self) -> None:
        for listener in self.listeners:
            listener.kill()
            listener.wait()
        for where in ("host", "gateway", "browser", "tools", "other", "neighbour", "world"):
            subprocess.run(["ip", "netns", "del", f"{self.prefix}-{where}"], capture_output=True)


def nodad(address: str) -> str:
    return "nodad" if ":" in address else ""


def settings(**values: Any) -> Settings:
    browsing = {"enabled": True, "socket": "socket", "browser": {"enabled": True}}
    sandbox = {**browsing, "container": {"network": "bridge"}}
    return Settings.model_validate(merged({"sandbox": sandbox}, values))


def content(wanted: Settings) -> str:
    with at(wanted, network="", access="", files=""):
        return network.rules(wanted).content


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    wanted = settings()
    made_there = [
        bridges.bridge(wanted.name),
        bridges.browsers_bridge(wanted.name, wanted.sandbox),
        bridges.tools_bridge(wanted),
    ]
    made = World(f"clawnet-{secrets.token_hex(3)}", [str(one) for one in made_there])
    try:
        _make(made)
        yield made
    finally:
        made.remove()


def _make(world: World) -> None:
    world.add("host")
    world.run(
        "host",
        "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
    )
    # Each container's number in its network; the gateway is on the browsers' network too.
    members = {1: {"gateway": 2}, 2: {"gateway": 2, "browser": 3}, 3: {"tools": 2}, 9: {"other": 2}}
    for name in ("gateway", "browser", "tools", "other"):
        world.add(name)
    for number, bridge in zip(members, [*world.bridges, "br-other"], strict=True):
        world.run(
            "host",
            f"ip link add {bridge} type bridge; ip addr add 172.31.{number}.1/24 dev {bridge};"
            f"ip addr add fd31:{number}::1/64 dev {bridge} nodad; ip link set {bridge} up",
        )
        for name, last in members[number].items():
            v4, v6 = f"172.31.{number}.{last}/24", f"fd31:{number}::{last}/64"
            world.link(name, f"eth{number}", f"v{number}-{name}", v4, v6)
            world.run("host", f"ip link set v{number}-{name} master {bridge}")
            if f"172.31.{number}" != "172.31.2" or name != "gateway":
                world.run(
                    name,
                    f"ip route add default via 172.31.{number}.1;"
                    f"ip -6 route add default via fd31:{number}::1",
                )
    for name, v4, v6 in (
        ("neighbour", "192.0.2", "2001:db8:2"),
        ("world", "198.51.100", "2001:db8:3"),
    ):
        world.add(name)
        world.link(name, "eth0", name, f"{v4}.2/24", f"{v6}::2/64")
        world.run(
            "host", f"ip addr add {v4}.1/24 dev {name}; ip addr add {v6}::1/64 dev {name} nodad"
        )
        world.run(name, f"ip route add default via {v4}.1; ip -6 route add default via {v6}::1")
    # As a neighbour would who wants to be on the host's loopback.
    world.run(
        "neighbour",
        "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet; ip addr flush dev lo;"
        "ip route flush table local dev lo 2>/dev/null || :;"
        "ip route add 127.0.0.1/32 via 192.0.2.1",
    )
    for target in METADATA | PRIVATE | INTERNET:
        address = target.rpartition(",")[0]
        six = ":" in address
        world.run("world", f"ip addr add {address}/{128 if six else 32} dev eth0 {nodad(address)}")
        world.run(
            "host", f"ip route add {address} via {'2001:db8:3::2' if six else '198.51.100.2'}"
        )
    world.listen("host", 8099)
    world.listen("gateway", 18789)
    world.listen("browser", 9222)
    world.listen("tools", 7000)
    world.listen("other", 5432)
    world.listen("world", 80, 11434)
    world.published("127.0.0.1")
    everything = METADATA | PRIVATE | INTERNET
    until(lambda: world.reached("gateway", everything) == everything, 60, "the world is there")


def test_a_neighbour_reaches_nothing_that_is_published_on_loopback(world: World) -> None:
    world.published("127.0.0.1")
    world.open()
    inside = LOOPBACK | CONTAINERS | {"172.31.3.2,7000", "fd31:3::2,7000"}
    world.opens("neighbour", inside, inside, "without the rules")
    world.rules()
    assert world.reached("neighbour", inside) == set()
    world.opens("neighbour", {"192.0.2.1,8099"}, {"192.0.2.1,8099"}, "the host's own business")


def test_a_chosen_address_is_reached_and_no_other(world: World) -> None:
    world.published("192.0.2.1")
    world.rules(gateway={"address": "192.0.2.1"})
    published = {"192.0.2.1,18789"}
    world.opens("neighbour", published | LOOPBACK | CONTAINERS, published)
    # An engine that translated another address would open nothing.
    world.rules(gateway={"address": "127.0.0.1"})
    assert world.reached("neighbour", published) == set()


@pytest.mark.parametrize("where", ["gateway", "browser", "tools"])
def test_metadata_and_the_host_are_refused_from_everywhere(world: World, where: str) -> None:
    world.published("127.0.0.1")
    world.open()
    everything = METADATA | PRIVATE | INTERNET | HOST | {"192.0.2.1,5432"}
    world.opens(where, everything, everything, "without the rules")
    world.rules()
    world.opens(where, everything, PRIVATE | INTERNET)
    world.rules(egress={"private": "deny"})
    world.opens(where, everything, INTERNET)
    world.rules(egress={"metadata": "allow", "host": "allow"})
    world.opens(where, everything, everything)
    named = ["host:8099", "169.254.169.254:80", "[fd00:ec2::254]:80"]
    world.rules(egress={"private": "deny", "allowed": named})
    world.opens(where, everything, INTERNET | METADATA | HOST)


def test_sandboxes_reach_neither_the_gateway_nor_each_other(world: World) -> None:
    inside = CONTAINERS | {"172.31.3.2,7000"}
    for address in ("127.0.0.1", "192.0.2.1"):
        world.published(address)
        world.rules(gateway={"address": address}, egress={"host": "allow"})
        assert world.reached("tools", inside - {"172.31.3.2,7000"} | {"192.0.2.1,18789"}) == set()
        refused = {"172.31.1.2,18789", "172.31.3.2,7000", "192.0.2.1,18789"}
        if BRIDGED.exists() and BRIDGED.read_text() == "1\n":
            # The gateway is on the browsers' network as well.
            refused |= {"172.31.2.2,18789", "fd31:2::2,18789"}
        assert world.reached("browser", refused) == set()


def test_the_gateway_reaches_its_browsers(world: World) -> None:
    world.rules()
    world.opens("gateway", {"172.31.2.3,9222"}, {"172.31.2.3,9222"})
    both = {"172.31.1.2,18789", "172.31.2.3,9222"}
    world.opens("host", both, both)


def test_what_a_rootless_engine_reaches_goes_by_its_user(world: World) -> None:
    """Its containers' connections are its user's, and a gateway as a service has one of its own."""
    world.open()
    everything = METADATA | PRIVATE | INTERNET | HOST | {"127.0.0.1,8099"}
    world.opens("host", everything, everything, "without the rules", user="nobody")
    for egress, expected in (
        ({}, PRIVATE | INTERNET),
        ({"private": "deny", "allowed": ["host:8099"]}, INTERNET | HOST | {"127.0.0.1,8099"}),
    ):
        sandbox = {"socket": "host", "browser": {"enabled": False}}
        wanted = settings(sandbox=sandbox, gateway={"port": 8050}, egress=egress)
        text = content(wanted).replace("openclaw-engine", "nobody")
        world.run("host", "nft -f -", input=text.replace("openclaw-gateway", "daemon"))
        world.opens("host", everything, expected, user="nobody")
        # OpenClaw's own ports: the gateway's, and those above it.
        world.opens("host", everything, expected | {"127.0.0.1,8099"}, user="daemon")
        world.opens("host", everything, everything, "others are left alone", user="games")
    world.open()


def test_a_closed_host_is_reached_where_it_is_wanted_alone(world: World) -> None:
    """Its own ports and those of anybody's containers, over both families; nothing of it from
    inside."""
    own = {"192.0.2.1,8099", "2001:db8:2::1,8099"}
    published, direct = {"192.0.2.1,5432"}, {"172.31.9.2,5432", "fd31:9::2,5432"}
    world.open()
    everything = own | published | direct
    world.opens("neighbour", everything, everything, "without the rules")
    try:
        for allow, expected in (
            ([], set()),
            ([8099], own),
            ([5432], published),
            (["5432/udp"], set()),
        ):
            world.close(allow)
            world.opens("neighbour", everything, expected, f"{allow}")
        outward = INTERNET | PRIVATE | {"172.31.9.1,8099", "192.0.2.1,8099"}
        world.opens("other", outward, outward)
        world.opens("host", everything, own | direct)
        world.close([], ssh=8099)
        world.opens("neighbour", everything, own)
    finally:
        world.run("host", "nft delete table inet openclaw_host")


def test_a_host_whose_network_is_on_a_bridge_is_closed_there_too(world: World) -> None:
    own = {"192.0.2.1,8099"}
    world.run(
        "host",
        "ip link add uplink type bridge; ip link set uplink up; ip addr flush dev neighbour;"
        "ip link set neighbour master uplink; ip addr add 192.0.2.1/24 dev uplink",
    )
    try:
        world.opens("neighbour", own, own, "the bridge forwards")
        world.close([])
        world.opens("neighbour", own, own, "a bridge is taken for the host's inside")
        world.close([], uplink="uplink")
        assert world.reached("neighbour", own) == set()
    finally:
        world.run("host", "nft delete table inet openclaw_host")
