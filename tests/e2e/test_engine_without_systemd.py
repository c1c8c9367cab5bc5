"""Hosts without systemd, whose engine is started by its SysV script or, where that gives up
because it may not raise its limits (as in a plain container), as the script does it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from lab import hosts as lab
from tests.e2e.engine_job import TINY, Job
from tests.e2e.harness import until

pytestmark = [pytest.mark.engine, pytest.mark.whole]

# The shim of a lab host, ending in sshd instead of systemd; apt may not start services.
INIT = """
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
mkdir -p /run/sshd
sed 's#/sbin/init$#/usr/sbin/sshd -D#' /usr/local/sbin/lab-init >/init
exec sh /init
"""


@pytest.fixture
def plain_host(engine) -> Iterator[lab.Host]:
    name = f"plain-{secrets.token_hex(3)}"
    image = lab.build("bookworm")
    lab.network()
    labels = {"host": name, "suite": "bookworm", "owner": "0"}
    try:
        lab.create(name, image, labels, init=True, entrypoint=["sh"], command=["-c", INIT])
        lab.container(lab.PREFIX + name).start()

        def answers() -> bool:
            lab.write_ssh_config()
            return lab.ssh(name, "true").returncode == 0

        until(answers, 180, "sshd of the plain host")
        yield lab.find(name)
    finally:
        lab.down(name)


def test_engine_runs_and_second_run_changes_nothing(plain_host, deployment, tmp_path):
    job = Job(deployment(plain_host, engine={"source": "distro"}), tmp_path)
    job.up("--dry", expect=2)
    job.up()
    assert job.sh("docker version -f '{{.Server.Version}}'").startswith("20.10")
    assert job.sh("service docker status").endswith("is running.")
    daemon = job.daemon()
    with job.untouched():
        job.up()
    job.sh(TINY)
    container = job.sleeper()
    job.up(log_max_size="7m")
    assert job.daemon() != daemon
    assert job.sleeper() == container
