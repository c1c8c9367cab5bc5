"""A host without IPv4: what the preflight says, and that its fix gives containers a way out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml

from lab import hosts as lab
from operations.base import templates
from operations.base.quoting import Script
from operations.engine import uplink
from operations.gateway import bridges
from tests.e2e.engine_job import Job
from toolkit.settings import Settings

pytestmark = [pytest.mark.engine, pytest.mark.long]
OUTER, HOST, PORT = "fd91:91::1", "fd91:91::2", 38126
CUT = f"""
for one in all default eth0; do echo 0 >/proc/sys/net/ipv6/conf/$one/disable_ipv6; done
ip -6 addr replace {HOST}/64 dev eth0 nodad && ip -6 route replace default via {OUTER}
ip -4 route del default
"""
BUSYBOX = """
apt-get -qq update && apt-get -qq install -y busybox-static >/dev/null
"""
IMAGE = "tar -c -C / bin/busybox | docker import - bb >/dev/null"
FETCH = f"timeout 20 docker run --rm {{}} bb /bin/busybox wget -qO- http://[{OUTER}]:{PORT}/"


@pytest.fixture
def served() -> Iterator[None]:
    """What is outside: a server on the lab's bridge that has IPv6 alone."""
    link = ["dev", lab.BRIDGE]
    subprocess.run(["ip", "-6", "addr", "replace", f"{OUTER}/64", *link, "nodad"], check=True)
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(PORT), "--bind", OUTER],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield
    server.kill()
    server.wait()
    subprocess.run(["ip", "-6", "addr", "del", f"{OUTER}/64", *link], check=True)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_its_containers_have_a_way_out_once_the_engine_is_told(
    fresh_host, deployment, served, tmp_path, suite: str
) -> None:
    host = fresh_host(suite)
    one = deployment(host, engine={"source": "distro"})
    way = one.sh("ip -4 route show default").strip()
    one.sh(BUSYBOX)
    one.sh(CUT)
    refused = one.claw("up", "--dry", "--json", expect=1).json["hosts"][host.name]
    (fix,) = [
        problem["fix"] for problem in refused["problems"] if "no way out over" in problem["what"]
    ]
    given = yaml.safe_load(fix.partition("engine.daemon to ")[2].partition(";")[0])

    one.sh(f"ip -4 route add {way}")
    Job(one, tmp_path).up(source="distro", daemon=given)
    one.sh(IMAGE)
    one.sh(CUT)
    assert "<html" in one.sh(FETCH.format("")).lower()  # as builds do
    made = made_as_by_us()
    one.sh(made)
    name = bridges.bridge(Settings().name)
    assert "<html" in one.sh(FETCH.format(f"--network {name}")).lower()
    with_ipv6 = json.loads(one.sh(f"docker network inspect {name}"))[0]
    assert with_ipv6["EnableIPv6"] and with_ipv6["Options"]["com.docker.network.driver.mtu"]
    again = one.claw("up", "--dry", "--json", settings={"engine": {"daemon": given}}, expect=None)
    problems = again.json["hosts"][host.name]["problems"]
    assert not [one for one in problems if "IPv6" in one["what"] or "IPv4" in one["what"]]


def made_as_by_us() -> str:
    name = bridges.bridge(Settings().name)
    return str(
        templates.render(
            "network/made.sh.j2",
            docker=Script(""),
            name=name,
            deployment="openclaw",
            bridge=name,
            form=uplink.Form(1400, True),
            subnet=uplink.subnet(name),
        )
    )
