"""A run ends with a look from outside: what answers on the hosts that it has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import hosts as lab
from tests.e2e.fleet import Fleet
from tests.e2e.harness import Result, claw, until

pytestmark = [pytest.mark.engine, pytest.mark.long]

NAMES = ("exposure-seen", "exposure-seeing")
SERVE = "systemd-run -q --unit web-{port} python3 -m http.server {port}"
SILENT = """
command -v nft || { apt-get -qq update && apt-get -qq install -y nftables; } >/dev/null 2>&1
nft -f - <<'END'
table inet test {
  chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
    tcp dport { 22, 2301, 8080 } accept
  }
}
END
"""


class Hosts(Fleet):
    """Two hosts, each at its own address and port 22."""

    def arguments(self, *more: str) -> tuple[str, ...]:
        words = super().arguments(*more)
        pairs = []
        for name, data in self.hosts.items():
            one = lab.find(name)
            pairs.append((name, {**lab.connection(one.ip), "name": f"{name}-{self.id}", **data}))
        self.inventory.write_text(f"hosts = {pairs!r}\nrollout = {self.rollout}\n")
        return words

    def again(self, *more: str, expect: int = 0) -> Result:
        """A run with something to change."""
        self.version += 1
        return self.run(*more, expect=expect)

    def serve(self, port: int) -> None:
        self.on(f"systemctl is-active -q web-{port} || {SERVE.format(port=port)}")
        until(lambda: self.on(f"ss -Htln sport = :{port}") != "", 30, f"port {port}")

    def on(self, command: str) -> str:
        done = lab.ssh(NAMES[0], command)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def machines() -> Iterator[list[lab.Host]]:
    yield [lab.up(name) for name in NAMES]
    lab.down(*NAMES)


@pytest.fixture
def hosts(machines: list[lab.Host], tmp_path: Path) -> Hosts:
    seen, seeing = NAMES
    return Hosts(machines[0], tmp_path, {seen: {}, seeing: {}})


def outside(done: Result) -> str:
    (line,) = [line for line in done.stdout.splitlines() if line.strip().startswith("Outside")]
    return line


def verify(hosts: Hosts, *words: str, expect: int = 0) -> Result:
    words = ("verify", str(hosts.inventory), "--outside", *words)
    return claw(*words, env=hosts.environment, expect=expect)


def test_what_answers_is_said_after_each_change(hosts: Hosts) -> None:
    seen, seeing = NAMES
    first = hosts.run()
    assert f"{seen}, {seeing}: open, as wanted" in outside(first)
    assert "Outside" not in hosts.run().stdout, "a run that changed nothing looks at nothing"

    hosts.serve(8080)
    named = hosts.again("--limit", seen)
    assert "also open, and not the toolkit's: 8080" in outside(named)
    hosts.hosts[seen] = {"host": {"firewall": {"enabled": True}}}
    failed = hosts.again(expect=1)
    assert f"{seen}: seen from this machine" in failed.stderr
    assert "8080 (host.firewall is to close it)" in failed.stderr
    assert f"{seeing}: open, as wanted" in outside(failed)

    hosts.hosts[seen] = {}
    hosts.serve(18789)
    assert "18789 (the gateway)" in hosts.again("--limit", seen, expect=1).stderr
    found = hosts.again("--json", expect=1).json["hosts"][seen]
    assert found["state"] == "failed" and found["outside"][0]["outcome"] == "failed"


def test_another_host_looks(hosts: Hosts) -> None:
    """And ports that drop everything in silence hold up nobody."""
    seen, seeing = NAMES
    hosts.serve(8080)
    hosts.on("systemctl stop web-18789 2>/dev/null; :")
    hosts.on(SILENT)
    try:
        assert f"{seeing}: open, as wanted; {seen}: " in outside(hosts.again())
        said = verify(hosts, "--from", seeing).stdout
        assert f"as {seeing} sees it" in said and "22" in said and "8080" in said
        assert "exposure-seeing" not in verify(hosts, "--limit", seen).stdout
        both = verify(hosts, "--json").json["hosts"]
        assert both[seen]["ok"] and both[seeing]["ok"]
        assert "no such host" in verify(hosts, "--from", "nobody", expect=1).stderr
        assert "no other host" in verify(hosts, "--limit", seen, "--from", seen, expect=1).stderr
    finally:
        hosts.on("nft delete table inet test")
