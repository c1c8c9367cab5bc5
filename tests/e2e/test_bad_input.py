"""Bad input: one clear error each, exit code 1, nothing changed, the gateway still there.

A row of the tables is: what is wrong, and what the error must say (host, key, given, accepted).
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from lab.stand_ins import STAND_INS
from tests.e2e.harness import Deployment, Result, claw, lacking_set

pytestmark = [pytest.mark.engine]

ABSENT = "a Debian package that does not exist"
SETTINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an unknown key": ({"gateway": {"prot": 1}}, ["gateway.prot", "gateway.port"]),
    "an unknown section": ({"gatway": {"port": 1}}, ["gatway", "gateway"]),
    "a port that is none": ({"gateway": {"port": 99999}}, ["gateway.port", "99999", "65535"]),
    "a version that became a number": (
        {"gateway": {"version": 2026.1}},
        ["gateway.version", "2026.1", "2026.9.6"],
    ),
    "a version that is none": ({"gateway": {"version": "banana"}}, ["gateway.version", "banana"]),
    "too little memory": ({"gateway": {"memory": "1g"}}, ["gateway.memory", "1g", "2g"]),
    "a malformed mount": ({"extra_mounts": ["data:/data"]}, ["extra_mounts", "data:/data"]),
    "a mount that climbs": ({"extra_mounts": ["/srv/../etc:/data"]}, ["extra_mounts", ".."]),
    "YAML in a mount": (
        {"extra_mounts": ["/srv:/data\n    privileged: true"]},
        ["extra_mounts", "control character"],
    ),
    "a package name with a command in it": (
        {"gateway": {"apt_packages": ["jq; reboot"]}},
        ["gateway.apt_packages", "jq; reboot", "Debian package"],
    ),
    "a choice that is none": (
        {"engine": {"source": "podman"}},
        ["engine.source", "podman", "auto", "existing", "official", "distro"],
    ),
    "a credential that is not set": (
        {"credentials": {"OPENAI_API_KEY": {"env": "SURELY_NOT_SET"}}},
        ["credentials.OPENAI_API_KEY", "SURELY_NOT_SET"],
    ),
    "a secret in place of a reference": (
        {"credentials": {"OPENAI_API_KEY": "sk-plain"}},
        ["credentials.OPENAI_API_KEY", "env", "file", "command"],
    ),
    "a mount of what is not there": (
        {"extra_mounts": ["/srv/absent:/data"]},
        ["extra_mounts", "/srv/absent", "mkdir"],
    ),
    ABSENT: (
        {"gateway": {"apt_packages": ["no-such-package-xyz"]}},
        ["gateway.apt_packages", "no-such-package-xyz"],
    ),
    "a release that does not exist": (
        {"gateway": {"version": "2026.9.999"}},
        ["gateway.version", "2026.9.999"],
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings(case: str, deployed: Deployment):
    settings, words = SETTINGS[case]
    if case == ABSENT and deployed.vps.suite in STAND_INS:
        pytest.skip("an Ubuntu's lists say nothing of Debian's packages: the build finds it")
    with untouched(deployed):
        result = deployed.claw("up", settings=settings, expect=1)
    is_one_clear_error(result, words, deployed)


def test_every_error_of_every_setting_at_once(deployed: Deployment):
    wrong = {"gateway": {"port": 99999, "memory": "1g"}, "time_zone": "Mars/Olympus"}
    with untouched(deployed):
        said = deployed.claw("up", settings=wrong, expect=1).output
    for key in ("gateway.port", "gateway.memory", "time_zone"):
        assert said.count(f"{key}:") == 1, said


def test_a_setting_on_the_command_line(deployed: Deployment):
    with untouched(deployed):
        result = deployed.claw("up", "--set", "gateway.port=no", expect=1)
    is_one_clear_error(result, ["gateway.port", "no", "65535"], deployed)


@contextmanager
def untouched(deployed: Deployment) -> Iterator[None]:
    """Nothing on the host changes meanwhile, and a gateway that runs keeps running."""
    running = "docker ps -q --no-trunc | xargs -r docker inspect -f '{{.Id}} {{.State.StartedAt}}'"
    before, was = deployed.fingerprint(), deployed.sh(f"({running}) 2>/dev/null", None)
    yield
    assert deployed.fingerprint() ^ before == set()
    assert deployed.sh(f"({running}) 2>/dev/null", None) == was


def is_one_clear_error(
    result: Result, words: list[str], deployed: Deployment | None = None
) -> None:
    said = result.output
    for word in [*words, *([deployed.host.name] if deployed and deployed.host else [])]:
        assert word in said, f"{word!r} is not in:\n{said}"
    assert "Traceback" not in said
    assert not re.search(r"unexpected \w+(Error|Exception)", said), said
    assert said.count("fix: ") <= 1, said
    lines = [line for line in said.splitlines() if "tested on stand-ins alone" not in line]
    assert len(lines) <= 6, said
    assert "othing was changed" in said


def test_a_port_that_is_taken(deployed: Deployment):
    listen = "python3 -m http.server --bind 127.0.0.1 19999"
    deployed.sh(f"systemd-run -q --unit=taken {listen}")
    deployed.sh("timeout 20 sh -c 'until ss -ltn | grep -q :19999; do sleep 0.1; done'")
    try:
        with untouched(deployed):
            result = deployed.claw("up", settings={"gateway": {"port": 19999}}, expect=1)
        is_one_clear_error(result, ["gateway.port", "19999", "python3"], deployed)
    finally:
        deployed.sh("systemctl stop taken")


@contextmanager
def replaced(deployed: Deployment, path: str, content: str) -> Iterator[None]:
    """Another content in a file of the host, and then the old one, with its mode and owner."""
    deployed.sh(f"cp -p {path} /root/kept && cat >{path} <<'END'\n{content}\nEND")
    try:
        yield
    finally:
        deployed.sh(f"cat /root/kept >{path} && rm /root/kept")


def test_a_corrupt_env_file(deployed: Deployment):
    path = "/opt/openclaw/.env"
    with replaced(deployed, path, "A=1\nB='never closed\n"), untouched(deployed):
        result = deployed.claw("up", expect=1)
    is_one_clear_error(result, [path, "line 2"], deployed)


@pytest.mark.parametrize(
    ("content", "place"), [('{ gateway: { mode: "local" ', "JSON5"), ("[1, 2]", "object")]
)
def test_a_corrupt_openclaw_json(content: str, place: str, deployed: Deployment):
    """Not repaired by the gateway either, which is why it is stopped meanwhile."""
    path = "/var/lib/openclaw/config/openclaw.json"
    container = deployed.container()["Id"]
    deployed.sh(f"docker pause {container}")
    try:
        with replaced(deployed, path, content), untouched(deployed):
            result = deployed.claw("up", expect=1)
    finally:
        deployed.sh(f"docker unpause {container}")
    is_one_clear_error(result, [path, place], deployed)


def test_two_tokens_that_disagree(deployed: Deployment):
    path = "/var/lib/openclaw/config/openclaw.json"
    config = json.loads(deployed.sh(f"cat {path}"))
    config["gateway"]["auth"]["token"] = "another-" + "x" * 40
    container = deployed.container()["Id"]
    deployed.sh(f"docker pause {container}")
    try:
        with replaced(deployed, path, json.dumps(config)), untouched(deployed):
            result = deployed.claw("up", expect=1)
    finally:
        deployed.sh(f"docker unpause {container}")
    is_one_clear_error(result, ["token", "/opt/openclaw/.env", path], deployed)
    assert "x" * 40 not in result.output
    assert deployed.token() not in result.output


# On a bare host


@pytest.fixture
def bare(lab_host, deployment) -> Deployment:
    return deployment(lab_host("bookworm", "bare"))


def test_an_unsupported_distribution(bare: Deployment):
    release = "/usr/lib/os-release"
    fake = 'ID=alpine\nVERSION_ID=3.20\nPRETTY_NAME="Alpine Linux v3.20"'
    bare.sh(f"cat >/root/fake <<'END'\n{fake}\nEND\nmount --bind /root/fake {release}")
    try:
        with untouched(bare):
            result = bare.claw("up", expect=1)
    finally:
        bare.sh(f"umount {release} && rm /root/fake")
    is_one_clear_error(result, ["Alpine Linux v3.20", "Debian 12 or 13"], bare)


def test_no_disk(bare: Deployment):
    bare.sh("mkdir -p /srv/small && mount -t tmpfs -o size=100m,mode=755 none /srv/small")
    try:
        with untouched(bare):
            small = {"directories": {"config": "/srv/small/config"}}
            result = bare.claw("up", settings=small, expect=1)
    finally:
        bare.sh("umount /srv/small && rmdir /srv/small")
    is_one_clear_error(result, ["/srv/small", "0.1 GiB", "1.0 GiB"], bare)


def test_no_sudo(bare: Deployment):
    bare.user = "nosudo"
    with untouched(bare):
        result = bare.claw("up", expect=1)
    is_one_clear_error(result, ["nosudo", "sudo"], bare)


def test_a_key_that_the_host_does_not_know(bare: Deployment, tmp_path: Path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with untouched(bare):
        bare._write_inventory({})
        inventory = bare.inventory.with_name("wrong_key.py")
        inventory.write_text(bare.inventory.read_text().replace(str(lab.key()), str(key)))
        result = claw("up", str(inventory), expect=1)
    is_one_clear_error(result, [str(key)], bare)


def test_a_host_whose_key_has_changed(bare: Deployment, tmp_path: Path):
    known_hosts = tmp_path / "known_hosts"
    public = lab.key().with_suffix(".pub").read_text()
    known_hosts.write_text(f"{bare.vps.ip} {public}")
    bare._write_inventory({})
    text = bare.inventory.read_text().replace(str(lab.SSH_DIR / "known_hosts"), str(known_hosts))
    inventory = bare.inventory.with_name("changed_key.py")
    inventory.write_text(text)
    with untouched(bare):
        result = claw("up", str(inventory), expect=1)
    is_one_clear_error(result, ["host key"], bare)


UNREACHABLE = {
    "nobody at the address": "root@10.91.0.251",
    "no such name": "root@no-such-host.invalid",
    "nobody at the port": "root@{ip}:2299",
}


@pytest.mark.parametrize("case", UNREACHABLE)
def test_an_unreachable_host(case: str, bare: Deployment, ssh_home):
    target = UNREACHABLE[case].format(ip=bare.vps.ip)
    result = claw("up", target, env=ssh_home, expect=1)
    host = target.removeprefix("root@").partition(":")[0]
    is_one_clear_error(result, [f"{host}: cannot connect"])


def test_one_unreachable_host_of_two_is_named_beside_the_plan_of_the_other(
    bare: Deployment, ssh_home
):
    target = f"root@{bare.vps.ip},root@10.91.0.251"
    with untouched(bare):
        said = claw("up", target, "--dry", *lacking_set(bare.vps), env=ssh_home, expect=1).output
    assert "10.91.0.251: cannot connect" in said
    assert "Failed: 10.91.0.251 (1 of 2 hosts)" in said
    assert f"{bare.vps.ip}: " in said and "operations would change it" in said


COMMAND_LINES = {
    "a malformed target": (["up", "root@two words"], ["two words", "accepted"]),
    "an inventory that is not there": (["up", "absent.yml"], ["absent.yml", "no such file"]),
    "an assignment without a value": (
        ["up", "--set", "gateway.port"],
        ["gateway.port", "KEY=VALUE"],
    ),
    "a limit that matches nothing": (["up", "--limit", "nobody"], ["nobody", "@local"]),
}


@pytest.mark.parametrize("case", COMMAND_LINES)
def test_a_command_line(case: str):
    arguments, words = COMMAND_LINES[case]
    said = claw(*arguments, expect=1).output
    assert "Traceback" not in said
    for word in words:
        assert word in said, said
