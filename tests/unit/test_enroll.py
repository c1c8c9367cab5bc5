"""What `./claw enroll` takes and refuses, and a machine that is a host of an inventory."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from commandline import changing, targets
from commandline.verbs.enroll import enroll
from operations.lifecycle import enrolment
from operations.lifecycle.enrolment import Enrolment
from toolkit.settings.sources.resolve import validate_inventory

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAmbGVBkmvAr2c3XdBPbCMPNxhZtOaQm7d9lPUrGzJ1p"


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """Options that are taken."""
    (tmp_path / "signers").write_text(f'# us\nme@example.org namespaces="git" {KEY} me\n')
    (tmp_path / "known").write_text(f"git.lan,10.0.0.1 {KEY}\n[git.lan]:2222 {KEY}\n")
    return {
        "--from": "ssh://git@git.lan/fleet.git",
        "--ref": "main",
        "--inventory": "inventories/fleet.yml",
        "--signers": str(tmp_path / "signers"),
        "--known-hosts": str(tmp_path / "known"),
    }


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    """`typed(options, *flags)`: what hosts are enrolled with; raises what is said of bad input."""

    def run(words: dict[str, str], *more: str) -> Enrolment | None:
        found: list[Enrolment | None] = []

        def change(*_: Any, prepare: Any, **__: Any) -> None:
            monkeypatch.setattr(enrolment, "choose", lambda _, wanted: found.append(wanted))
            prepare(None)

        monkeypatch.setattr(changing, "run", change)
        line = [word for pair in words.items() for word in pair]
        enroll.main([*line, *more], standalone_mode=False)
        return found[0]

    return run


def test_what_a_host_is_enrolled_with(given, typed, tmp_path: Path):
    wanted = typed(given)
    assert (wanted.url, wanted.ref, wanted.deploy_key) == (given["--from"], "main", "")
    assert wanted.inventory == "inventories/fleet.yml"
    assert "me@example.org namespaces" in wanted.allowed_signers
    assert wanted.known_hosts == f"git.lan,10.0.0.1 {KEY}\n"
    for url in (
        "git@git.lan:fleet.git",
        "git.lan:/srv/fleet.git",
        "ssh://git@git.lan:2222/fleet.git",
    ):
        assert KEY in typed(given | {"--from": url}).known_hosts
    assert typed(given | {"--from": "https://git.lan/fleet.git"}).known_hosts == ""
    without = {key: value for key, value in given.items() if key != "--inventory"}
    assert typed(without, "fleet.yml").inventory == "fleet.yml"
    assert typed({}, "--remove") is None


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--from", "", "--from is needed"),
        ("--from", "fleet", "accepted: https://"),
        ("--from", "ext::sh -c id", "accepted: https://"),
        ("--from", "https://me:secret@git.lan/fleet.git", "a login stands in it"),
        ("--from", "ssh://git@other.lan/fleet.git", "has no key of other.lan"),
        ("--from", "ssh://git@git.lan:2200/fleet.git", "has no key of [git.lan]:2200"),
        ("--ref", "", "--ref is needed"),
        ("--ref", "--upload-pack=x", "a branch or a tag"),
        ("--ref", "a..b", "a branch or a tag"),
        ("--inventory", "../fleet.yml", "within the repository"),
        ("--inventory", "/etc/fleet.yml", "within the repository"),
        ("--inventory", "root@203.0.113.7", "within the repository"),
        ("--signers", "", "--signers is needed"),
        ("--signers", "/nowhere", "No such file"),
        ("--signers", "/dev/null", "it names nobody"),
        ("--signers", __file__, "accepted: lines such as"),
        ("--deploy-key", "/nowhere", "No such file"),
        ("--deploy-key", __file__, "a private key of mode 600 without a passphrase"),
    ],
)
def test_what_is_refused_before_a_host_is_touched(option, value, said, given, typed):
    with pytest.raises(click.UsageError) as refused:
        typed(given | {option: value})
    assert said in refused.value.format_message()
    assert "secret" not in refused.value.format_message()


def test_a_key_with_a_passphrase_is_refused(given, typed, tmp_path: Path):
    for phrase in ("", "phrase"):
        key = tmp_path / f"key{phrase}"
        subprocess.run(["ssh-keygen", "-q", "-N", phrase, "-t", "ed25519", "-f", key], check=True)
    assert "PRIVATE KEY" in typed(given | {"--deploy-key": str(tmp_path / "key")}).deploy_key
    with pytest.raises(click.BadParameter, match="without a passphrase"):
        typed(given | {"--deploy-key": str(tmp_path / "keyphrase")})


def test_removal_takes_nothing_else(given, typed):
    with pytest.raises(click.UsageError, match="--remove goes without --ref"):
        typed({"--ref": "main"}, "--remove")


INVENTORY = """
all: {time_zone: Europe/Berlin, ssh_user: root}
groups:
  web: {hosts: [claw1, claw2], settings: {gateway: {port: 19000}, ssh_port: 2222}}
hosts:
  claw1: {ssh_hostname: 203.0.113.7, ssh_known_hosts_file: /nowhere/known, pull: {ring: 1}}
  claw2: {ssh_known_hosts_file: /nowhere/known}
rollout: {before: ./announce}
"""


def test_a_machine_becomes_a_host_of_an_inventory(tmp_path: Path):
    """Its name, its groups and settings stay; what leads there is a control machine's."""
    (tmp_path / "fleet.yml").write_text(INVENTORY)
    inventory = targets.load_inventory(str(tmp_path / "fleet.yml"), {})
    targets.become(inventory, "claw1")
    (host,) = inventory
    assert (host.name, targets.is_local(host)) == ("claw1", True)
    assert host.data.get("ssh_hostname") is None and host.data.get("ssh_port") is None
    settings = validate_inventory(inventory, {})["claw1"]
    assert (settings.time_zone, settings.gateway.port, settings.pull.ring) == (
        "Europe/Berlin",
        19000,
        1,
    )
    assert targets.choose(inventory, ("web",)) == [host]
    assert targets.rollout.rollout_for(inventory, {}).before is None


def test_a_host_that_is_not_in_the_inventory(tmp_path: Path):
    (tmp_path / "fleet.yml").write_text(INVENTORY)
    inventory = targets.load_inventory(str(tmp_path / "fleet.yml"), {})
    with pytest.raises(targets.TargetError, match="claw9: no such host; hosts: claw1, claw2"):
        targets.become(inventory, "claw9")
