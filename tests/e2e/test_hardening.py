"""A host that is closed: who gets in, and that nobody is locked out of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lab import breaks
from lab import hosts as lab
from operations.hardening import sshd, stage
from tests.e2e.conftest import MakeDeployment
from tests.e2e.hardening_job import HANGS, LOCKS_OUT, NOBODY, Job
from tests.e2e.harness import until

pytestmark = pytest.mark.long

PORT = 8123
TABLE = "nft list table inet openclaw_host"
TIMERS = "/run/systemd/transient/openclaw-trial-*"
TRIAL = f"ls -d /etc/openclaw-pyinfra/trial-* {TIMERS} 2>/dev/null; true"
LEFT = "ls -d /etc/openclaw-pyinfra/host /etc/systemd/system/openclaw-* 2>/dev/null; true"
BOTH = {"firewall": {"enabled": True, "allow": [PORT]}, "sshd": {"enabled": True}}
OURS = [part.path for part in stage.parts()]
LYNIS = 60
EMPTIED = "systemctl stop openclaw-firewall.timer; nft flush ruleset"


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def job(
    request: pytest.FixtureRequest,
    deployment: MakeDeployment,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Job]:
    name = f"harden-{request.param}"
    user = "deploy" if request.param == "trixie" else "root"
    made = Job(deployment(lab.up(name, request.param), user), tmp_path_factory.mktemp("job"))
    served(made)
    yield made
    lab.down(name)


def served(job: Job) -> None:
    """Something of the host's answers on a port, until the next boot."""
    job.sh(f"systemctl is-active -q web || systemd-run -q --unit web python3 -m http.server {PORT}")


def answers(job: Job) -> bool:
    """Whether a port of the host is reached from here."""
    try:
        socket.create_connection((job.deployment.vps.ip, PORT), 2).close()
    except OSError:
        return False
    return True


def test_a_host_is_closed_but_for_ssh_and_what_is_allowed(job: Job) -> None:
    until(lambda: answers(job), 30, "its server answers")
    done = job.up(firewall={"enabled": True})
    assert "closed but for 22/tcp (SSH)" in done.output
    assert str(PORT) in done.output, "the plan says what is closed that is in use"
    assert job.gets_in() and not answers(job)
    again = job.up(firewall={"enabled": True})
    assert "nothing to change" in again.output
    job.up(firewall={"enabled": True, "allow": [PORT]})
    assert answers(job)
    assert job.sh(TRIAL) == ""


def test_rules_that_somebody_empties_come_back(job: Job) -> None:
    job.sh("nft flush ruleset")
    until(lambda: "table inet" in job.sh(f"{TABLE} 2>/dev/null || :"), 60, "the timer")
    job.sh(f"{EMPTIED}; systemctl restart openclaw-firewall.service")
    assert f"dport {PORT}" in job.sh(TABLE)
    assert "nothing to change" not in job.up(firewall={"enabled": True, "allow": [PORT]}).output


def test_rules_that_lock_out_are_taken_back(job: Job) -> None:
    before = job.sh(TABLE)
    done = job.up(LOCKS_OUT, expect=1, firewall={"enabled": True})
    assert "over a new connection the host could not be reached" in done.output
    assert "Traceback" not in done.output
    until(job.gets_in, 90, "the host takes it back")
    until(lambda: job.sh(TRIAL) == "", 90, "it is over")
    assert job.sh(TABLE) == before
    assert "dport 2 accept" not in job.sh("cat /etc/openclaw-pyinfra/host/*")


def test_a_run_that_is_killed_before_it_confirms_changes_nothing(job: Job) -> None:
    before = job.sh(TABLE)
    run = job.start(HANGS, firewall={"enabled": True, "allow": [1]})
    until(lambda: "dport 1 accept" in job.sh(TABLE), 120, "it is tried")
    run.kill()
    until(lambda: job.sh(TABLE) == before, 90, "the host takes it back")
    until(lambda: job.sh(TRIAL) == "", 30, "it is over")


def test_an_sshd_that_lets_nobody_in_is_taken_back(job: Job) -> None:
    done = job.up(NOBODY, expect=1, **BOTH)
    assert "host.sshd: over a new connection the host could not be reached" in done.output
    until(job.gets_in, 90, "the host takes it back")
    until(lambda: job.sh(TRIAL) == "", 90, "it is over")
    assert job.sh(f"ls {sshd.PATH} 2>/dev/null; true") == ""


def test_a_reboot_in_between_is_nobodys_word(job: Job) -> None:
    """What was tried is on disk, for sshd reads it there; nobody may be locked out by a boot."""
    run = job.start(NOBODY + HANGS, **BOTH)
    until(lambda: not job.gets_in(), 120, "it is tried")
    run.kill()
    breaks.BREAKS["reboot"][1](job.deployment.vps)
    assert job.gets_in() and f"dport {PORT}" in job.sh(TABLE)
    assert job.sh(TRIAL) == "" and job.sh(f"ls {sshd.PATH} 2>/dev/null; true") == ""


def test_the_whole_preset(job: Job) -> None:
    done = job.up(preset="vps")
    for said in ("closed but for 22/tcp (SSH)", "PasswordAuthentication no", "reboot at 04:30"):
        assert said in done.output
    assert "nothing to change" in job.up(preset="vps").output
    assert job.gets_in()
    effective = job.sh("/usr/sbin/sshd -T")
    assert "passwordauthentication no" in effective and "x11forwarding no" in effective
    assert "active" in job.sh("systemctl is-active fail2ban")
    until(lambda: "Journal matches" in job.sh("fail2ban-client status sshd"), 30, "its jail")
    assert "-security" in job.sh("unattended-upgrade --dry-run -d 2>&1 | grep 'Allowed origins'")
    assert job.sh("ls /openclaw.swap 2>/dev/null; true") == "", "a container has no swap of its own"


def test_judges_of_others_find_little(job: Job) -> None:
    """ssh-audit: no algorithm that it fails; lynis: what docs/host.md has, and not less."""
    get = "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends"
    job.sh(f"{get} ssh-audit lynis >/dev/null")
    judged = job.sh("ssh-audit --no-colors --level=fail 127.0.0.1; echo code $?")
    assert judged in ("code 0", "code 2"), f"2 is warnings alone: {judged}"
    job.sh("lynis audit system --quick --quiet --no-colors >/dev/null 2>&1; true")
    report = job.sh("cat /var/log/lynis-report.dat")
    said = dict(line.partition("=")[::2] for line in report.splitlines())
    print(*(line for line in report.splitlines() if line.startswith(("warn", "sugg"))), sep="\n")
    assert int(said["hardening_index"]) >= LYNIS, report
    job.sh("apt-get purge -qq -y ssh-audit lynis >/dev/null")


def test_who_guesses_is_shut_out(job: Job) -> None:
    """By fail2ban's own command: sshd's lines are those of whatever journal there is."""
    job.sh("fail2ban-client set sshd banip 192.0.2.77")
    assert "192.0.2.77" in job.sh("nft list ruleset")
    job.sh("fail2ban-client set sshd unbanip 192.0.2.77")


def test_what_is_turned_off_is_gone(job: Job) -> None:
    done = job.up()
    assert "the toolkit's rules are gone" in done.output
    assert job.sh(f"{TABLE} 2>/dev/null || :") == ""
    assert job.sh(LEFT) == ""
    assert "nothing to change" in job.up().output
    assert job.sh(f"ls {' '.join(OURS)} 2>/dev/null; true") == ""


def test_a_removal_leaves_nothing(job: Job) -> None:
    job.up(preset="vps")
    done = job.deployment.claw("remove", "-y", settings={"host": {"preset": "vps"}})
    assert "who reaches the host" in done.output and "what sshd takes" in done.output
    assert job.sh(f"{TABLE} 2>/dev/null || :") == "" and job.sh(LEFT) == ""
    assert job.sh(f"ls {' '.join(OURS)} 2>/dev/null; true") == "" and job.gets_in()


OWN = {
    "ufw": ("ufw allow 22/tcp && ufw --force enable", "ufw show added", "ufw --force disable"),
    "firewalld": (
        "systemctl start firewalld",
        "firewall-cmd --list-ports",
        "systemctl stop firewalld",
    ),
}


@pytest.mark.parametrize("manager", OWN)
def test_the_hosts_own_firewall_is_told_and_not_fought(job: Job, manager: str) -> None:
    begin, listed, end = OWN[manager]
    served(job)
    until(lambda: answers(job), 30, "its server answers")
    job.sh(f"DEBIAN_FRONTEND=noninteractive apt-get install -qq -y {manager} && {begin}")
    try:
        until(lambda: not answers(job), 30, "it closes the host")
        done = job.up(firewall={"enabled": True, "allow": [PORT]})
        assert f"what {manager} lets in, and {PORT}/tcp" in done.output
        assert f"{PORT}/tcp" in job.sh(listed) and answers(job) and job.gets_in()
        assert "chain input" not in job.sh(TABLE)
        assert "nothing to change" in job.up(firewall={"enabled": True, "allow": [PORT]}).output
        job.up()
        assert f"{PORT}/tcp" not in job.sh(listed) and not answers(job)
        assert job.sh(LEFT) == ""
    finally:
        job.sh(f"{end}; apt-get purge -qq -y {manager}")
