"""sudo with a password: it works, and no user of the host gets to see the password."""

from __future__ import annotations

import threading

import pytest

from lab import hosts as lab

pytestmark = pytest.mark.engine

PASSWORD = "it's-a-canary"
PREPARE = f"""
id asked >/dev/null 2>&1 || useradd -m -s /bin/bash asked
printf '%s\\n' "asked:{PASSWORD}" | chpasswd
echo 'asked ALL=(ALL) ALL' >/etc/sudoers.d/asked
install -d -m700 -o asked -g asked /home/asked/.ssh
install -m600 -o asked -g asked /root/.ssh/authorized_keys /home/asked/.ssh/
"""
WATCH = "while [ ! -e /tmp/seen-enough ]; do ps axww -o args= | grep '[c]anary'; done"


def test_the_password_is_in_no_process_list_and_no_output(lab_host, deployment):
    host = lab_host("bookworm", "bare")
    assert lab.ssh(host.name, PREPARE).returncode == 0
    seen: list[str] = []
    watch = threading.Thread(target=lambda: seen.append(lab.ssh(host.name, WATCH).stdout))
    watch.start()
    try:
        run = deployment(host, user="asked", _sudo_password=PASSWORD).claw(
            "up", "--dry", "-vvv", expect=2
        )
    finally:
        lab.ssh(host.name, "touch /tmp/seen-enough")
        watch.join(60)
        lab.ssh(host.name, "rm /tmp/seen-enough")
    assert "canary" not in run.output
    assert seen == [""]
    left = lab.ssh(host.name, "grep -rls canary /tmp /dev/shm /run/user /home").stdout
    assert left == ""


def test_a_wrong_password_is_one_clear_problem(lab_host, deployment):
    host = lab_host("bookworm", "bare")
    assert lab.ssh(host.name, PREPARE).returncode == 0
    run = deployment(host, user="asked", _sudo_password="wrong").claw("up", "--dry", expect=1)
    assert "sudo refuses the password" in run.output
    assert "Traceback" not in run.output
