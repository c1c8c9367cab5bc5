"""sshd, fail2ban, updates, swap and clock of a host: what is set, and when."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.operation import PyinfraOperation

from operations.base import connection, files, snapshot, templates
from operations.base.files import digest
from operations.hardening import shutdown, sshd, stage, upkeep
from operations.hardening.trial import Trial
from tests.operations.hosts import at, commands, judged
from toolkit.settings import Settings

MACHINE = "id=debian\nrelease=12\nmemory=2000000\nsystemd="
ROOM = f"systemd\nfree {100 << 30}"


def on(part: str, **values: Any) -> Settings:
    return Settings.model_validate({"host": {part: {"enabled": True, **values}}})


def sent(operation: PyinfraOperation, wanted: Settings, **answers: str) -> list[str]:
    there = {"files": "", "sshd": "", "upkeep": ROOM, "system": MACHINE, "packages": "", **answers}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "anew", over_the_same_connection)
        patch.setattr(snapshot, "run_quietly", lambda *_: "")
        return [one.stdin or one for one in commands(operation, there, settings=wanted)]


@contextmanager
def over_the_same_connection(host: object, seconds: float) -> Iterator[None]:
    yield


def there(*wanted: files.File) -> str:
    return "\n".join(
        f"regular file|{one.mode}|0:0|{digest(one.content)}|{one.path}" for one in wanted
    )


# sshd


def configured(key: bool, user: str | None, said: str = "there\nincludes") -> list[str]:
    """The lines of the drop-in, where a run came in so."""
    with pytest.MonkeyPatch.context() as patch, at(on("sshd"), sshd=said):
        patch.setattr(connection, "by_key", lambda host: key)
        patch.setattr(connection, "login_user", lambda host: user)
        text = sshd.configuration(on("sshd")).content
    return [line for line in text.splitlines() if not line.startswith("#")]


LESS = ["KexAlgorithms -ecdh-sha2-nistp*", "HostKeyAlgorithms -ecdsa-sha2-nistp*"]
LESS += ["MACs -hmac-sha1*"]
NO_LISTS = "there\nincludes\nlist kexalgorithms\nlist hostkeyalgorithms\nlist macs"


def test_what_ssh_audit_fails_goes_but_for_what_somebody_has_set() -> None:
    assert configured(True, "root")[-3:] == LESS
    assert set(configured(True, "root", "there\nincludes\nlist macs")) & set(LESS) == set(LESS[:2])
    assert not set(configured(True, "root", NO_LISTS)) & set(LESS)


def test_a_host_that_is_known_by_an_ecdsa_key_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "host_key", lambda host: "ecdsa-sha2-nistp256")
    assert "HostKeyAlgorithms" not in " ".join(configured(True, "root"))


@pytest.mark.parametrize(
    ("effective", "ignored"),
    [
        ("macs hmac-sha2-256,umac-128@openssh.com", False),
        ("macs hmac-sha2-256,hmac-sha1-etm@openssh.com", True),
        ("macs hmac-sha1", True),
    ],
)
def test_an_sshd_that_still_takes_what_is_to_go_does_not_follow(
    tmp_path: Path, effective: str, ignored: bool
) -> None:
    (tmp_path / "sshd").write_text(f"#!/bin/sh\necho {effective}\n")
    (tmp_path / "sshd").chmod(0o755)
    (tmp_path / "own.conf").write_text("# A comment\nMACs -hmac-sha1*\n")
    text = (templates.DIRECTORY / "hardening/sshd_effect.sh").read_text()
    script = f"PATH={tmp_path}:$PATH\n{text}\nsshd_ignores {tmp_path}/own.conf"
    assert (subprocess.run(["sh", "-c", script]).returncode == 0) is ignored


def test_passwords_go_only_where_the_run_came_in_by_a_key() -> None:
    with_key = configured(True, "root")
    assert {"PasswordAuthentication no", "PermitRootLogin prohibit-password"} < set(with_key)
    only = ["X11Forwarding no", *LESS]
    assert configured(False, "root") == only, "root's password is all he has"
    assert configured(False, None) == only, "nobody knows who logs in there"
    assert configured(False, "deploy") == ["PermitRootLogin prohibit-password", *only]


@pytest.mark.parametrize("stricter", ["no", "forced-commands-only"])
def test_nothing_is_loosened(stricter: str) -> None:
    assert f"PermitRootLogin {stricter}" in configured(True, "root", f"root-login {stricter}")
    odd = configured(True, "root", "root-login yes; x")
    assert "PermitRootLogin prohibit-password" in odd


def test_it_is_tried_once() -> None:
    with at(on("sshd"), sshd="there\nincludes"):
        file = sshd.configuration(on("sshd"))
    (script,) = sent(sshd.configured, on("sshd"))
    assert "sshd -t" in script and file.content in script
    assert sent(sshd.configured, on("sshd"), files=there(file)) == []
    assert sent(sshd.configured, on("sshd"), files=there(file), sshd="ignored")
    assert sent(sshd.configured, Settings(), files="") == []
    (gone,) = sent(sshd.configured, Settings(), files=there(file))
    assert f"rm -f {sshd.PATH}" in gone


def test_an_sshd_that_would_not_follow_is_found_before() -> None:
    (problem,) = judged(sshd.problems, on("sshd"), {"sshd": "there"})
    assert problem.stops and "Include /etc/ssh/sshd_config.d/*.conf" in problem.fix
    (problem,) = judged(sshd.problems, on("sshd"), {"sshd": ""})
    assert problem.stops and "no OpenSSH server" in problem.what
    assert judged(sshd.problems, Settings(), {"sshd": ""}) == []


def test_what_sshd_does_not_take_is_put_back(tmp_path: Path) -> None:
    """With a stand-in of sshd, which refuses what it is given the second time."""
    config, run = tmp_path / "sshd_config.d", tmp_path / "run"
    for directory in (config, run, tmp_path / "etc", tmp_path / "bin"):
        directory.mkdir()
    program = tmp_path / "bin/sshd"
    program.write_text(
        f"#!/bin/sh\ncd {config}\n[ $1 = -T ] && {{ cat *.conf; exit; }}\n! grep -q BAD *.conf\n"
    )
    program.chmod(0o755)

    def tried(line: str) -> subprocess.CompletedProcess[str]:
        file = files.File(f"{config}/00.conf", f"{line}\n")
        text = Trial("sshd", 60).script(configuration=file)
        text = text.replace("/etc/openclaw-pyinfra", f"{tmp_path}/etc").replace("/run/", f"{run}/")
        (run / "new").write_text(text)
        path = f"{tmp_path}/bin:/usr/bin:/bin"
        argv = ["sh", str(run / "new"), "try"]
        return subprocess.run(argv, capture_output=True, text=True, env={"PATH": path})

    assert tried("x11forwarding no").returncode == 0
    script = f"{tmp_path}/etc/trial-sshd/script"
    assert subprocess.run(["sh", script, "keep"]).returncode == 0
    assert tried("BAD").returncode == 1
    assert (config / "00.conf").read_text() == "x11forwarding no\n"
    assert not (tmp_path / "etc/trial-sshd").exists()


# fail2ban, updates


def test_a_jail_is_set_once_and_its_service_runs() -> None:
    wanted = on("fail2ban")
    (script,) = sent(upkeep.guessers_shut_out, wanted)
    assert "systemctl restart fail2ban" in script and "backend = systemd" in script
    with at(wanted):
        content = script.split("printf '%s' '")[1].split("' >")[0]
    has = there(files.File(upkeep.JAIL, content))
    active = f"{ROOM}\nactive fail2ban"
    assert sent(upkeep.guessers_shut_out, wanted, files=has, upkeep=active) == []
    assert sent(upkeep.guessers_shut_out, wanted, files=has), "somebody has stopped it"
    (gone,) = sent(upkeep.guessers_shut_out, Settings(), files=has)
    assert f"rm -f {upkeep.JAIL}" in gone
    (problem,) = judged(upkeep.problems, wanted, {"upkeep": "", "system": MACHINE})
    assert problem.stops and "systemd" in problem.what


@pytest.mark.skipif(not shutil.which("apt-config"), reason="needs apt")
@pytest.mark.parametrize("reboot", ["03:15", None])
def test_only_updates_of_security_are_installed(tmp_path: Path, reboot: str | None) -> None:
    (script,) = sent(upkeep.upgrades_installed, on("unattended_upgrades", reboot=reboot))
    before = tmp_path / "50"
    before.write_text('Unattended-Upgrade::Origins-Pattern { "origin=Debian"; };\n')
    own = script.split("printf '%s' '")[1].split("' >")[0]
    both = tmp_path / "both"
    both.write_text(before.read_text() + own)
    argv = ["apt-config", "-c", str(both), "dump"]
    said = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout
    patterns = [line for line in said.splitlines() if line.startswith(f"{PATTERNS}::")]
    assert len(patterns) == 4 and all("-security" in line for line in patterns)
    assert ('Automatic-Reboot "true"' in said) is (reboot is not None)
    assert (f'Automatic-Reboot-Time "{reboot}"' in said) is (reboot is not None)


PATTERNS = "Unattended-Upgrade::Origins-Pattern"


def test_a_reboot_waits_for_turns_where_the_host_reboots_by_itself() -> None:
    wanted = on("unattended_upgrades")
    (script,) = sent(shutdown.turns_finished, wanted)
    assert "systemctl restart openclaw-shutdown" in script
    has, active = there(shutdown.unit(wanted)), f"{ROOM}\nactive openclaw-shutdown"
    assert sent(shutdown.turns_finished, wanted, files=has, upkeep=active) == []
    assert sent(shutdown.turns_finished, wanted, files=has), "somebody has stopped it"
    for other in (Settings(), on("unattended_upgrades", reboot=None)):
        (gone,) = sent(shutdown.turns_finished, other, files=has, upkeep=active)
        assert f"rm -f {shutdown.UNIT}" in gone
    assert sent(shutdown.turns_finished, wanted, upkeep="") == [], (
        "no systemd, no reboot of its own"
    )


# Swap, clock


def test_swap_is_made_where_memory_is_little_and_there_is_none() -> None:
    wanted = on("swap")
    (script,) = sent(upkeep.swapping, wanted)
    assert f"size={2 << 30}" in script and "enable --quiet --now" in script
    plenty = MACHINE.replace("2000000", "8000000")
    assert sent(upkeep.swapping, wanted, system=plenty) == []
    assert sent(upkeep.swapping, wanted, upkeep=f"{ROOM}\nswap") == []
    assert sent(upkeep.swapping, wanted, system=f"{MACHINE}\ncontainer=docker") == []
    content = script.split("printf '%s' '")[1].split("' >")[0]
    has = there(files.File(upkeep.SWAP_UNIT, content))
    ours = f"{ROOM}\nown-swap {2 << 30}"
    assert sent(upkeep.swapping, wanted, files=has, upkeep=ours) == []
    assert sent(upkeep.swapping, on("swap", size="3g"), files=has, upkeep=ours)
    (gone,) = sent(upkeep.swapping, Settings(), files=has, upkeep=ours)
    assert "swapoff" in gone


@pytest.mark.skipif(not shutil.which("mkswap"), reason="needs mkswap")
def test_a_swap_file_is_one_and_nobody_else_reads_it(tmp_path: Path) -> None:
    program, file, unit = tmp_path / "systemctl", tmp_path / "openclaw.swap", tmp_path / "unit"
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/said\n')
    program.chmod(0o755)
    script = sent(upkeep.swapping, on("swap", size="4m"))[0]
    script = script.replace(upkeep.SWAP_UNIT, str(unit)).replace(upkeep.SWAP_FILE, str(file))
    path = f"{tmp_path}:/usr/sbin:/sbin:{os.environ['PATH']}"
    subprocess.run(["sh", "-s"], input=script, text=True, check=True, env={"PATH": path})
    assert b"SWAPSPACE2" in file.read_bytes() and file.stat().st_size == 4 << 20
    assert file.stat().st_mode & 0o777 == 0o600
    assert f"What={file}" in unit.read_text() and "enable" in (tmp_path / "said").read_text()


def test_a_swap_file_that_has_no_room_is_found_before() -> None:
    little = {"upkeep": f"systemd\nfree {2 << 30}", "system": MACHINE}
    (problem,) = judged(upkeep.problems, on("swap"), little)
    assert problem.stops and "2.0 GiB are free" in problem.what
    assert judged(upkeep.problems, on("swap", size="1g"), little) == []


def test_a_clock_that_somebody_sets_is_left_alone() -> None:
    wanted = on("time")
    assert len(sent(upkeep.clock_set, wanted)) == 2
    installed = "installed systemd-timesyncd 252"
    assert len(sent(upkeep.clock_set, wanted, packages=installed)) == 1
    active = f"{ROOM}\nactive systemd-timesyncd"
    assert sent(upkeep.clock_set, wanted, packages=installed, upkeep=active) == []
    assert sent(upkeep.clock_set, wanted, packages="installed chrony 4.3") == []
    assert sent(upkeep.clock_set, wanted, system=f"{MACHINE}\ncontainer=lxc") == []


def test_what_is_taken_away_names_its_deployment() -> None:
    """A removal takes only what this deployment has written."""
    for part in stage.parts():
        assert part.path.startswith("/etc/")
    texts = {
        "sshd": configured_text(),
        "jail": sent(upkeep.guessers_shut_out, on("fail2ban"))[0],
        "upgrades": sent(upkeep.upgrades_installed, on("unattended_upgrades"))[0],
        "shutdown": sent(shutdown.turns_finished, on("unattended_upgrades"))[0],
        "swap": sent(upkeep.swapping, on("swap"))[0],
    }
    for text in texts.values():
        assert "# Written by openclaw-pyinfra for the deployment openclaw\n" in text


def configured_text() -> str:
    with at(on("sshd"), sshd="there\nincludes"):
        return sshd.configuration(on("sshd")).content
