"""What `ssh HOST true` does, the toolkit does: each case is judged against `ssh` itself."""

from __future__ import annotations

import shlex
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from paramiko import BadHostKeyException, SSHException
from pyinfra.api.exceptions import PyinfraError

from commandline.run.ssh_client import Client
from lab import hosts as lab
from operations.base import connection
from toolkit import openssh

pytestmark = pytest.mark.engine
PORTS = (2301, 2302)
ASKED = 'id -un; echo "$SSH_CONNECTION" | cut -d" " -f1,4; echo ${SSH_AUTH_SOCK:+agent}'


@pytest.fixture(scope="module")
def host(lab_host) -> Iterator[lab.Host]:
    """A lab host with two further sshds; the second drops connections while others log in."""
    made = lab_host("bookworm", "bare")
    first, second = PORTS
    run = "systemd-run -q --collect --unit=sshd-{0} /usr/sbin/sshd -D -p {0} {1}"
    lab.ssh(made.name, run.format(first, ""))
    lab.ssh(made.name, run.format(second, "-o MaxStartups=2:60:5"))
    yield made
    lab.ssh(made.name, f"systemctl stop sshd-{first} sshd-{second}")


@pytest.fixture
def folder(host: lab.Host, tmp_path: Path) -> Path:
    """A directory with `known`: the host's keys under each of its ports."""
    ways = [(host.ip, port) for port in PORTS]
    lab.known_hosts(host.ip, ways, tmp_path / "known")
    own = [
        line for line in (lab.SSH_DIR / "known_hosts").read_text().splitlines() if host.ip in line
    ]
    with (tmp_path / "known").open("a") as file:
        file.write("".join(f"{line}\n" for line in own))
    return tmp_path


def by_ssh(config: Path, name: str = "there") -> str | None:
    """What the host says to OpenSSH; None if it does not connect."""
    words = ["ssh", "-F", str(config), "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", name, ASKED]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return None if done.returncode == 255 else done.stdout


def by_toolkit(config: Path, name: str = "there") -> str | None:
    """The same of the toolkit's client, told what pyinfra's connector tells it."""
    openssh.resolve.cache_clear()
    client = Client()
    try:
        client.connect(
            name,
            _pyinfra_ssh_config_file=str(config),
            timeout=10,
            allow_agent=True,
            look_for_keys=True,
        )
        _, stdout, _ = client.exec_command(ASKED)
        return stdout.read().decode()
    except (SSHException, OSError, EOFError, BadHostKeyException, PyinfraError):
        return None
    finally:
        client.close()


CONFIGS = {
    "plain": "",
    "ProxyJump none": "ProxyJump none",
    "ProxyCommand none": "ProxyCommand none",
    "seconds with a unit": "ServerAliveInterval 30s\nConnectTimeout 1m",
    "true for yes": "StrictHostKeyChecking true",
    "another port": "Port 2301",
    "an alias of the key": "HostKeyAlias other-name",
    "an alias of the key that is known": "HostKeyAlias {ip}\nPort 2301",
    "one jump": "ProxyJump root@{ip}:2301",
    "one jump as a URI": "ProxyJump ssh://root@{ip}:2301",
    "a chain of jumps": "ProxyJump root@{ip}:2301,deploy@{ip}:22",
    "a jump whose key is unknown": "ProxyJump root@localhost:2301",
    "a jump that refuses us": "ProxyJump nobody@{ip}:2301",
    "a command": "ProxyCommand ssh -F {config} -W %h:%p root@{ip}",
    "a command with a percent": "ProxyCommand env X=50%% ssh -F {config} -W %h:%p root@{ip}",
    "a command that fails": "ProxyCommand sh -c 'echo no way >&2; exit 1'",
    "an agent that is not there": "IdentityAgent SSH_AUTH_SOCK",
    "no agent": "IdentityAgent none",
    "only these keys": "IdentitiesOnly yes",
    "a match by command": 'Match exec "true"\n  Port 2301',
    "a match that fails": 'Match exec "false"\n  Port 1',
    "a match of the user": "Match user somebody\n  Port 1",
    "another family": "AddressFamily inet",
    "a family without an address": "AddressFamily inet6",
    "an option that is none": "NoSuchOption yes",
    "a forwarded agent": "ForwardAgent no",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration(host: lab.Host, folder: Path, name: str) -> None:
    config = folder / "config"
    own = CONFIGS[name].format(ip=host.ip, config=folder / "plain")
    common = f"IdentityFile {lab.key()}\nUserKnownHostsFile {folder}/known\n"
    (folder / "plain").write_text(f"Host *\n{common}")
    config.write_text(f"Host there\nHostName {host.ip}\nUser root\n{own}\nHost *\n{common}")
    wanted = by_ssh(config)
    assert by_toolkit(config) == wanted
    assert (wanted is None) == (
        name
        in {
            "an alias of the key",
            "a jump whose key is unknown",
            "a jump that refuses us",
            "a command that fails",
            "a family without an address",
            "an option that is none",
        }
    )


KNOWN = {
    "as it is": ("{known}", True),
    "beside an authority": ("@cert-authority *.example.org {key}\n{known}", True),
    "beside a damaged line": ("not a key\n{ip} ssh-ed25519 AAAA\n{ip} ssh-new AAAA\n{known}", True),
    "by pattern": ("10.91.0.* {key}", True),
    "an authority alone": ("@cert-authority * {key}", False),
    "revoked": ("@revoked {ip} {key}\n{known}", False),
    "another": ("{ip} {other}", False),
    "another and the right one": ("{ip} {other}\n{known}", True),
    "none": ("", False),
    "hashed": ("{known}", True),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_hosts(host: lab.Host, folder: Path, name: str) -> None:
    known = [
        line for line in (folder / "known").read_text().splitlines() if " ssh-ed25519 " in line
    ]
    line = next(line for line in known if line.startswith(f"{host.ip} "))
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "other"], check=True
    )
    other = " ".join((folder / "other.pub").read_text().split()[:2])
    text, accepted = KNOWN[name]
    key = line.partition(" ")[2]
    (folder / "known").write_text(text.format(known=line, key=key, ip=host.ip, other=other) + "\n")
    if name == "hashed":
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", folder / "known"], check=True)
    config = folder / "config"
    config.write_text(
        f"Host there\nHostName {host.ip}\nUser root\nIdentityFile {lab.key()}\n"
        f"UserKnownHostsFile {folder}/known\nGlobalKnownHostsFile /dev/null\n"
    )
    wanted = by_ssh(config)
    assert (wanted is not None) is accepted
    assert by_toolkit(config) == wanted


def test_a_server_that_drops_connections_is_tried_again(host: lab.Host, folder: Path) -> None:
    config = folder / "config"
    config.write_text(
        f"Host *\nIdentityFile {lab.key()}\nUserKnownHostsFile {folder}/known\n"
        f"Host jump\nHostName {host.ip}\nUser root\nPort {PORTS[1]}\n"
        f"Host there\nHostName {host.ip}\nUser root\nProxyJump jump\n"
    )
    said: list[str | None] = []
    # Not a ThreadPoolExecutor: its lock, held while a greenlet forks, would be waited for forever.
    callers = [threading.Thread(target=lambda: said.append(by_toolkit(config))) for _ in range(10)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(said) == 10 and None not in said


FORWARDING = {
    "as it comes": ("", "", True),
    "none": ("-o AllowTcpForwarding=no", "", False),
    "only from there": ("-o AllowTcpForwarding=remote", "", False),
    "only from here": ("-o AllowTcpForwarding=local", "", True),
    "disabled": ("-o AllowTcpForwarding=yes -o DisableForwarding=yes", "", False),
    "to another port": ("-o PermitOpen=127.0.0.1:22", "", False),
    "to the port": ("-o PermitOpen=127.0.0.1:18789", "", True),
    "a restricted key": ("", "restrict", False),
    "a key without forwarding": ("", "no-port-forwarding", False),
    "a key with it": ("", 'restrict,port-forwarding,permitopen="127.0.0.1:18789"', True),
}


def test_whether_a_port_is_forwarded(host: lab.Host, folder: Path) -> None:
    """sshd refuses a tunnel to us where it refuses it to `ssh -L`, which speaks as `ssh -W`."""
    config, wrong = folder / "config", {}
    numbered = list(enumerate(FORWARDING.items(), 2310))
    start = "\n".join(
        f"sed 's/^/{key or 'no-x11-forwarding'} /' .ssh/authorized_keys >/root/keys-{number}"
        f" && systemd-run -q --collect --unit=sshd-{number} /usr/sbin/sshd -D -p {number}"
        f" -o AuthorizedKeysFile=/root/keys-{number} {options}"
        for number, (_, (options, key, _)) in numbered
    )
    listening = "$(ss -Hltn | grep -c '0[.]0:231[0-9] ')"
    started = f'until [ "{listening}" = {len(numbered)} ]; do sleep 0.1; done'
    ready = f"{start}\ntimeout 20 sh -c {shlex.quote(started)}"
    assert lab.ssh(host.name, ready).returncode == 0
    for number, (name, (_, _, expected)) in numbered:
        config.write_text(
            f"Host there\nHostName {host.ip}\nPort {number}\nUser root\nIdentityFile {lab.key()}\n"
            f"StrictHostKeyChecking no\nUserKnownHostsFile {folder}/new\n"
        )
        words = ["ssh", "-F", str(config), "-o", "BatchMode=yes", "-W", "127.0.0.1:18789", "there"]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        openssh.resolve.cache_clear()
        client = Client()
        client.connect("there", _pyinfra_ssh_config_file=str(config), timeout=10)
        there: Any = SimpleNamespace(connector=SimpleNamespace(client=client))
        found = connection.forwards(there, 18789)
        client.close()
        if not found == expected == ("administratively prohibited" not in done.stderr):
            wrong[name] = (found, done.stderr)
    lab.ssh(host.name, "systemctl stop 'sshd-231*'; rm /root/keys-*")
    assert not wrong
