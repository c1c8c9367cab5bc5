"""The host itself: who reaches it, and that nobody is locked out of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from operations.base import connection, snapshot, templates
from operations.base.files import digest
from operations.hardening import firewall
from operations.hardening.trial import Trial
from tests.operations.hosts import at, commands, judged
from toolkit.settings import Settings

ON = {"host": {"firewall": {"enabled": True}}}
SSH = "ssh 2222\nsystemd"
needs_nft = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft"
)


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values or ON)


def rules(said: str, **values: Any) -> str:
    wanted = settings(**values)
    with at(wanted, firewall=said):
        return firewall.rules(wanted).content


def opened(*ports: Any) -> Settings:
    return settings(host={"firewall": {"enabled": True, "allow": ports}})


@contextmanager
def over_the_same_connection(host: object, seconds: float) -> Iterator[None]:
    yield


# What is open


def test_the_port_that_the_run_came_in_by_stays_open_whatever_else_listens() -> None:
    text = rules(SSH + "\nlistens 22\nlistens 2222")
    assert "    tcp dport 2222 accept" in text and "dport 22 accept" not in text


def test_what_is_allowed_is_open_on_the_host_and_in_containers() -> None:
    with at(wanted := opened(443, "51820/udp"), firewall=SSH):
        text = firewall.rules(wanted).content
    for line in ("tcp dport 443 accept", "udp dport 51820 accept"):
        assert f"    {line}" in text
    assert "meta l4proto tcp ct original proto-dst 443 accept" in text
    assert "meta l4proto udp ct original proto-dst 51820 accept" in text


def test_a_gateway_that_is_published_is_published_on_purpose() -> None:
    assert settings(gateway={"address": "0.0.0.0"}, **ON).public_ports == ["18789/tcp"]
    assert settings(gateway={"address": "::1"}, **ON).public_ports == []


def test_an_active_firewall_of_the_hosts_keeps_its_own_ports() -> None:
    text = rules(SSH + "\nmanager ufw")
    assert "chain input" not in text and "ct status dnat jump published" in text
    (command,) = tried(opened(443), SSH + "\nmanager ufw")
    assert 'manager_allow "$port"' in command
    assert "host.firewall.enabled" not in command


@pytest.mark.parametrize("said", ["ssh 22\nuplink eth0; drop", "ssh 22 accept", "ssh 99999"])
def test_no_word_of_a_host_gets_into_the_rules(said: str) -> None:
    text = rules(said)
    assert "eth0" not in text and "22 accept accept" not in text and "99999" not in text


def test_what_closes_nothing_is_found_before() -> None:
    said = f"{SSH}\nmanager ufw\nopen ipv6\nopen x; rm -rf /"
    (problem,) = judged(firewall.problems, settings(), {"firewall": said})
    assert problem.stops and "IPv6" in problem.what and "IPV6=yes" in problem.fix
    assert judged(firewall.problems, Settings(), {"firewall": said}) == []


def test_one_deployment_of_a_host_has_its_rules() -> None:
    (problem,) = judged(firewall.problems, settings(), {"firewall": SSH + "\nowner other"})
    assert problem.stops and "other" in problem.what
    assert judged(firewall.problems, settings(), {"firewall": SSH + "\nowner openclaw"}) == []


# What a host says


def probed(path: Path, **environment: str) -> list[str]:
    """What the probe says, below a process that has this environment, as sudo leaves it."""
    script = firewall.Firewall.script(opened(443))
    bare = ["env", "-i", f"PATH={path}:{os.environ['PATH']}", "sh", "-c", 'sh -c "$1"; true', "sh"]
    argv = ["env", "-i", *(f"{key}={value}" for key, value in environment.items()), "sh", "-c"]
    argv += ['"$@"; true', "sh", *bare, script]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


def program(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (directory / name).chmod(0o755)


def test_the_port_is_that_of_the_session_as_the_host_sees_it(tmp_path: Path) -> None:
    program(tmp_path, "sshd", "echo port 22; echo port 2222")
    said = probed(tmp_path, SSH_CONNECTION="198.51.100.7 50022 192.0.2.1 2222")
    assert [line for line in said if line.startswith("ssh ")] == ["ssh 2222"]
    odd = probed(tmp_path, SSH_CONNECTION="198.51.100.7 50022 192.0.2.1 22;x")
    assert "ssh 22;x" not in odd


def test_an_active_ufw_says_what_it_lets_in(tmp_path: Path) -> None:
    program(
        tmp_path,
        "ufw",
        "case $1 in status) echo Status: active ;; *) echo ufw allow 443/tcp ;; esac",
    )
    said = probed(tmp_path, SSH_CONNECTION="198.51.100.7 50022 192.0.2.1 22")
    assert {"manager ufw", "has 443/tcp"} < set(said)


def test_firewalld_that_lets_everything_in_is_named(tmp_path: Path) -> None:
    target = "case $* in *get-target*) echo ACCEPT ;; *query-port*) exit 1 ;; esac"
    program(tmp_path, "firewall-cmd", target)
    said = probed(tmp_path, SSH_CONNECTION="198.51.100.7 50022 192.0.2.1 22")
    assert "manager firewalld" in said and "has 443/tcp" not in said
    assert "open rules" in said


@pytest.mark.parametrize("manager", ["ufw", "firewalld"])
def test_what_is_open_in_the_hosts_own_firewall_is_told_and_taken_back(
    tmp_path: Path, manager: str
) -> None:
    """What somebody else has allowed there stays."""
    log, record = tmp_path / "log", tmp_path / "allowed"
    has = "ufw allow 80/tcp" if manager == "ufw" else "-q --permanent --query-port=80/tcp"
    program(tmp_path, "ufw", f'[ "$1" = show ] && echo "{has}" || echo "ufw $*" >>{log}')
    query = f'case "$*" in *query*) [ "$*" = "{has}" ] ;; *) echo "$*" >>{log} ;; esac'
    program(tmp_path, "firewall-cmd", query)
    functions = templates.DIRECTORY / "hardening/managers.sh"
    for ports in ("80/tcp 443/tcp", "80/tcp"):
        script = f"""PATH={tmp_path}:$PATH; . {functions}
manager_forget {record} {ports}
manager={manager}
for port in {ports}; do
  manager_has $port || {{ manager_allow $port && echo "$manager $port" >>{record}; }}
done"""
        subprocess.run(["sh", "-ec", script], check=True)
    said = log.read_text()
    assert "443/tcp" in said and "80/tcp" not in said.replace("443/tcp", "")
    gone = {"ufw": "ufw delete allow 443/tcp", "firewalld": "--remove-port=443/tcp"}
    assert gone[manager] in said and not record.exists()


# When it is set


def tried(wanted: Settings, said: str, files: str = "") -> list[str]:
    """What is sent to a host, of which a new connection is the old one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "anew", over_the_same_connection)
        patch.setattr(snapshot, "run_quietly", lambda *_: "")
        found = commands(firewall.closed, {"firewall": said, "files": files}, settings=wanted)
    return [command.stdin for command in found]


def converged(wanted: Settings, said: str) -> str:
    with at(wanted, firewall=said):
        there = [firewall.rules(wanted), *firewall.TABLE.units]
    return "\n".join(f"regular file|644|0:0|{digest(one.content)}|{one.path}" for one in there)


def test_it_is_set_once() -> None:
    said = f"{SSH}\nthere\nclosed\nkept\nowner openclaw"
    there = converged(settings(), said)
    assert tried(settings(), said, there) == []
    for other in (said.replace("\nkept", ""), said.replace("\nclosed", "")):
        assert tried(settings(), other, there)
    assert tried(opened(443), said, there)
    assert tried(settings(), said.replace("2222", "22"), there)


def test_it_is_off_by_default_and_taken_away_when_it_is_turned_off() -> None:
    assert tried(Settings(), "") == []
    (gone,) = tried(Settings(), "there\nowner openclaw")
    assert "nft delete table inet openclaw_host" in gone
    assert tried(Settings(), "there\nowner other") == []


def test_a_host_that_nobody_gets_into_any_more_is_an_error_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def refused(host: object, seconds: float) -> Iterator[None]:
        raise PyinfraError("Could not connect (timed out)")
        yield

    monkeypatch.setattr(connection, "anew", refused)
    monkeypatch.setattr(snapshot, "run_quietly", lambda *_: "")
    with pytest.raises(PyinfraError, match=r"^host\.firewall: .* taken back: Could not connect"):
        commands(firewall.closed, {"firewall": SSH, "files": ""}, settings=settings())


# On a real kernel


@dataclass
class Namespace:
    """A network namespace with a directory in which the host's files are."""

    directory: Path
    process: subprocess.Popen[bytes]

    def run(self, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        argv = ["nsenter", "-t", str(self.process.pid), "--net", "sh", "-c", command]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True)

    def here(self, text: str) -> str:
        return text.replace("/etc/openclaw-pyinfra", f"{self.directory}/etc").replace(
            "/run/", f"{self.directory}/run/"
        )

    def trial(self, wanted: Settings, seconds: int = 60) -> tuple[Trial, str]:
        """Write what is tried, as an operation sends it; return the word with which it is kept."""
        with at(wanted, firewall="ssh 22"):
            file = firewall.rules(wanted)
        one = Trial("firewall", seconds)
        text = one.script(
            apply=firewall.TABLE,
            rules=file,
            files=[file],
            systemd=False,
            directory="/etc/openclaw-pyinfra/host",
            record=firewall.RECORD,
            manager="",
            allowed=wanted.public_ports,
        )
        new = self.directory / "run/new"
        new.write_text(self.here(text))
        return one, f"sh {self.here(one.directory)}/script"

    def try_it(self, wanted: Settings, seconds: int = 60) -> str:
        _, script = self.trial(wanted, seconds)
        done = self.run(f"sh {self.directory}/run/new try")
        assert done.returncode == 0, done.stderr
        return script

    def table(self) -> str:
        return self.run("nft -s list table inet openclaw_host").stdout

    def clocks(self) -> int:
        """How many of `sleep SECONDS`, then `back`, are going."""
        script = f"{self.directory}/etc/trial-firewall/script"
        done = subprocess.run(["pgrep", "-fc", script], stdout=subprocess.PIPE, text=True)
        return int(done.stdout)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    for name in ("etc", "run"):
        (tmp_path / name).mkdir()
    process = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    made = Namespace(tmp_path, process)
    own = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{process.pid}/ns/net").readlink() == own:
        time.sleep(0.01)
    yield made
    process.kill()
    process.wait()


@needs_nft
def test_what_nobody_confirms_is_taken_back_by_the_host_alone(namespace: Namespace) -> None:
    namespace.try_it(opened(443), seconds=1)
    until(lambda: "table" not in namespace.table())
    until(lambda: not (namespace.directory / "etc/trial-firewall").exists())
    assert not (namespace.directory / "etc/host/firewall.nft").exists()


@needs_nft
def test_what_is_confirmed_stays_and_only_then_is_on_disk(namespace: Namespace) -> None:
    script = namespace.try_it(opened(443))
    assert "dport 443" in namespace.table()
    assert not (namespace.directory / "etc/host/firewall.nft").exists(), "a boot would have it"
    assert namespace.run(f"{script} keep").returncode == 0
    assert "dport 443" in (namespace.directory / "etc/host/firewall.nft").read_text()
    assert namespace.run(f"{script} back").returncode != 0, "there is nothing to take back"
    assert "dport 443" in namespace.table()


@needs_nft
def test_what_was_confirmed_before_comes_back(namespace: Namespace) -> None:
    script = namespace.try_it(opened(443))
    assert namespace.run(f"{script} keep").returncode == 0
    namespace.try_it(opened(8443), seconds=1)
    until(lambda: "dport 8443" not in namespace.table())
    until(lambda: "dport 443" in namespace.table())


@needs_nft
def test_a_run_that_was_killed_is_taken_back_by_the_next_one(namespace: Namespace) -> None:
    """And its clock, which still goes, does nothing to what the next one tries."""
    namespace.try_it(opened(443), seconds=1)
    script = namespace.try_it(opened(8443))
    assert "dport 443" not in namespace.table()
    until(lambda: namespace.clocks() == 1)  # that of 60 seconds
    assert "dport 8443" in namespace.table()
    assert namespace.run(f"{script} keep").returncode == 0


@needs_nft
def test_a_word_that_comes_too_late_is_refused(namespace: Namespace) -> None:
    script = namespace.try_it(opened(443), seconds=1)
    until(lambda: "table" not in namespace.table())
    assert namespace.run(f"{script} keep").returncode != 0
    assert namespace.table() == ""


@needs_nft
def test_rules_that_the_kernel_does_not_take_change_nothing(namespace: Namespace) -> None:
    namespace.trial(opened(443))
    new = namespace.directory / "run/new"
    new.write_text(new.read_text().replace("policy drop;", "policy dorp;"))
    done = namespace.run(f"sh {new} try")
    assert done.returncode != 0 and "does not take the rules" in done.stderr
    assert namespace.table() == "" and not (namespace.directory / "etc/trial-firewall").exists()
