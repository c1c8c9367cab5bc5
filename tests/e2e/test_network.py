"""A deployed host as its neighbour sees it, and what its gateway sees of the host."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab import breaks
from lab import hosts as lab
from operations.base.quoting import joined
from operations.gateway import form, network
from tests.e2e.harness import Deployment, until
from tests.operations.hosts import at
from toolkit.settings import Settings

pytestmark = pytest.mark.engine

TABLE = "inet openclaw-openclaw"
# A cloud beside the host: its metadata, a private network, the Internet; and a service of the host.
WORLD = """
set -e
ip netns add world
ip link add world0 type veth peer name eth0 netns world
ip addr add 198.51.100.1/24 dev world0
ip link set world0 up
ip -n world link set lo up
ip -n world link set eth0 up
ip -n world addr add 198.51.100.2/24 dev eth0
ip -n world route add default via 198.51.100.1
for address in 169.254.169.254 10.77.7.7 203.0.113.9; do
  ip -n world addr add $address/32 dev eth0
  ip route add $address via 198.51.100.2
done
cd /var/empty 2>/dev/null || cd /usr/share
systemd-run -q --unit=test-world ip netns exec world python3 -m http.server 8099
systemd-run -q --unit=test-service python3 -m http.server 8099
"""
NO_WORLD = """
systemctl stop test-world test-service
ip link del world0
ip netns del world
"""
# The largest segment that whoever connects can take, by his own word.
SIZE = """
import pathlib, socket
server = socket.create_server(("203.0.113.9", 8098))
size = server.accept()[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
pathlib.Path("/tmp/size").write_text(f"{size}")
"""
CONNECT = """
const net = require("node:net");
for (const target of process.argv.slice(1)) {
  const [host, port] = target.split(" ");
  const socket = net.connect({ host, port: Number(port), timeout: 4000 });
  socket.on("connect", () => { console.log(target); socket.destroy(); });
  socket.on("error", () => {});
  socket.on("timeout", () => socket.destroy());
}
"""


def seen(one: Deployment, prefix: str = "") -> str:
    """What a look from a neighbour's namespace says of a host, as `verify` takes it."""
    return one.sh(f"{prefix} sh -c {shlex.quote(look())}").strip()


def look() -> str:
    with at(Settings(), network="", access="", files=""):
        made = joined(form.shell(Settings()), network.neighbour(Settings()))
    return f"{made}\nneighbour_seen"


def left_behind(one: Deployment) -> str:
    return one.sh(
        "ip -o link | grep clawn; pgrep -fa 'sleep 12[0]'; ls /run/netns 2>/dev/null", None
    )


@contextmanager
def without_rules(one: Deployment) -> Iterator[None]:
    """As if somebody had emptied nftables, and nobody brought them back."""
    one.sh(
        f"systemctl stop openclaw-closed.timer openclaw-closed.service; nft delete table {TABLE}"
    )
    try:
        yield
    finally:
        one.sh("systemctl start openclaw-closed.service openclaw-closed.timer")


def has_rules(one: Deployment) -> bool:
    return "loopback" in one.sh(f"nft list table {TABLE}", None)


@pytest.mark.parametrize(
    "fixture", ["deployed", pytest.param("deployed_trixie", marks=pytest.mark.whole)]
)
def test_up_has_looked_as_a_neighbour_would(fixture: str, request) -> None:
    one: Deployment = request.getfixturevalue(fixture)
    if one.first and not one.kept:
        checks = one.first.json["hosts"][one.vps.name]["checks"]
        (closed,) = [check for check in checks if check["name"] == "closed"]
        assert closed["outcome"] == "ok" and "a neighbour reaches none" in closed["detail"], closed
    assert seen(one).startswith("ok a neighbour reaches none of "), seen(one)
    assert left_behind(one) == ""


@pytest.mark.long
def test_an_open_port_is_seen(deployed: Deployment) -> None:
    """Engine 20.10 translates 127.0.0.1 from any interface, and forwards to its containers."""
    container = next(iter(deployed.container()["NetworkSettings"]["Networks"].values()))
    with without_rules(deployed):
        said = seen(deployed)
        assert said.startswith("failed a neighbour on the network reaches"), said
        assert " 127.0.0.1:18789" in said, said
        assert f" {container['IPAddress']}:18789 (the container itself)" in said, said
        dry = deployed.claw("up", "--dry", "--json", expect=2)
        assert [name.partition(" | ")[0] for name in dry.json["plan"][deployed.vps.name]] == [
            "Network"
        ]
    assert seen(deployed).startswith("ok ")


@pytest.mark.long
def test_a_firewall_of_the_host_does_not_pass_for_a_look(deployed: Deployment) -> None:
    drop = "INPUT -i clawn+ -j DROP"
    deployed.sh(f"iptables -I {drop}; ip6tables -I {drop}")
    try:
        said = seen(deployed)
        assert said.startswith("ok ") and "a firewall of the host drops all" in said, said
        with without_rules(deployed):
            assert " 127.0.0.1:18789" in seen(deployed)
    finally:
        deployed.sh(f"iptables -D {drop}; ip6tables -D {drop}")


def test_where_no_namespace_can_be_made_nothing_is_claimed(deployed: Deployment) -> None:
    said = seen(deployed, "setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin")
    assert said.startswith("unknown not judged from outside: "), said


def test_a_look_that_is_killed_leaves_nothing(deployed: Deployment) -> None:
    # The one that looks is the subshell, whose end its namespace follows.
    killed = f"""
    sh -c {shlex.quote(look())} >/dev/null 2>&1 &
    for i in $(seq 200); do ip -o link | grep -q clawn && break; sleep 0.05; done
    pkill -KILL -P $!; kill -KILL $! 2>/dev/null || :
    """
    deployed.sh(killed)
    until(lambda: left_behind(deployed) == "", 60, "the namespace and its link are gone")


def test_emptied_rules_are_back_within_a_minute(deployed: Deployment) -> None:
    deployed.sh(f"nft delete table {TABLE}")
    until(lambda: has_rules(deployed), 90, "the timer brings the rules back")


def test_the_gateway_reaches_neither_metadata_nor_the_host(deployed: Deployment) -> None:
    bridge = deployed.container()["NetworkSettings"]["Networks"].popitem()[1]["Gateway"]
    cloud = {"169.254.169.254 8099"}
    host = {f"{address} 8099" for address in (bridge, deployed.vps.ip, "198.51.100.1")}
    others = {"10.77.7.7 8099", "203.0.113.9 8099"}
    targets = shlex.join(sorted(cloud | host | others | {f"{deployed.vps.ip} 18789"}))

    def reached() -> set[str]:
        said = deployed.in_gateway(f"node -e {shlex.quote(CONNECT)} {targets}")
        return set(said.splitlines())

    deployed.sh(WORLD)
    try:
        with without_rules(deployed):
            until(lambda: reached() == cloud | host | others, 60, "all of it can be reached")
        assert reached() == others
    finally:
        deployed.sh(NO_WORLD, None)


@pytest.mark.long
def test_who_is_outside_is_told_the_size_of_the_uplinks_packets(deployed: Deployment) -> None:
    """Whatever the network was made for: what is larger is lost on the way back."""

    def told() -> int:
        unit = "systemd-run -q --collect --unit=test-size ip netns exec world"
        deployed.sh(f"rm -f /tmp/size; {unit} python3 -c {shlex.quote(SIZE)}")
        node = f"node -e {shlex.quote(CONNECT)} '203.0.113.9 8098'"
        until(lambda: deployed.in_gateway(node), 60, "a connection")
        until(lambda: deployed.sh("cat /tmp/size", None), 60, "its size")
        return int(deployed.sh("cat /tmp/size"))

    deployed.sh(WORLD)
    try:
        deployed.sh("ip link set world0 mtu 1300")
        assert told() <= 1260  # without IP's and TCP's heads
        with without_rules(deployed):
            assert told() > 1260
    finally:
        deployed.sh(NO_WORLD, None)


@pytest.mark.long
def test_the_rules_outlive_firewalls_the_engine_and_a_boot(deployed: Deployment) -> None:
    def closed() -> bool:
        return has_rules(deployed) and seen(deployed).startswith("ok ")

    deployed.sh("printf '#!/usr/sbin/nft -f\\nflush ruleset\\n' >/etc/nftables.conf")
    deployed.sh("nft -f /etc/nftables.conf")
    until(closed, 90, "closed after `flush ruleset`")
    deployed.sh("systemctl restart docker")
    until(closed, 120, "closed after a restart of the engine")
    deployed.sh("apt-get install -qq -y ufw >/dev/null 2>&1; ufw allow 22/tcp; ufw --force enable")
    try:
        assert has_rules(deployed) and closed()
        deployed.sh("ufw reload")
        assert has_rules(deployed) and closed()
    finally:
        deployed.sh("ufw --force disable; apt-get purge -qq -y ufw >/dev/null 2>&1", None)
    breaks.BREAKS["reboot"][1](lab.find(deployed.vps.name))
    assert has_rules(deployed), "from the boot on"
    until(lambda: deployed.http() == 200, 300, "the gateway is back")
    assert closed()
    assert json.loads(deployed.claw("up", "--dry", "--json").stdout)["plan"] == {
        deployed.vps.name: []
    }
