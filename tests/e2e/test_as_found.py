"""Engines and state that are on a host already: used as they are, or one clear error."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import MakeDeployment
from tests.e2e.engine_job import Job
from tests.e2e.harness import Deployment

pytestmark = [pytest.mark.engine, pytest.mark.long]
DROP_IN = "/etc/systemd/system/docker.service.d/test.conf"


@pytest.fixture(scope="module")
def job(lab_host, deployment, tmp_path_factory) -> Job:
    host = lab_host("trixie", "as-found")
    job = Job(deployment(host, engine={"source": "distro"}), tmp_path_factory.mktemp("job"))
    job.up()
    return job


def test_an_engine_that_remaps_ids_by_its_command_line_is_refused(job: Job) -> None:
    remapped = "/usr/sbin/dockerd -H fd:// --userns-remap=default"
    text = f"[Service]\nExecStart=\nExecStart={remapped}\n"
    job.sh(f"mkdir -p {DROP_IN.rpartition('/')[0]}; printf %s {shlex.quote(text)} >{DROP_IN}")
    job.sh("systemctl daemon-reload; systemctl restart docker")
    try:
        assert "name=userns" in job.sh("docker info -f '{{.SecurityOptions}}'")
        with job.untouched():
            said = job.up(expect=1).output
        assert "userns-remap" in said and "sandbox.socket to rootless" in " ".join(said.split())
        # What is not running cannot be asked before it has been started.
        job.sh("systemctl stop docker.socket docker.service")
        said = job.up(expect=1).output
        assert "userns-remap" in said
    finally:
        job.sh(f"rm {DROP_IN}; systemctl daemon-reload; systemctl restart docker")
    job.up()


def test_an_engine_that_was_switched_off_stays_off(job: Job) -> None:
    job.sh("systemctl disable --now docker.service docker.socket 2>/dev/null")
    try:
        with job.untouched():
            said = job.up(expect=1).output
        assert "docker.service is disabled" in said
        assert job.sh("systemctl is-enabled docker.service || true") == "disabled"
        assert job.sh("systemctl is-active docker.service || true") == "inactive"
    finally:
        job.sh("systemctl enable --now docker.socket docker.service")
    job.up()


def test_the_disk_of_containerd_s_image_store_is_measured(job: Job) -> None:
    job.sh("""cp -p /etc/docker/daemon.json /root/kept
              systemctl stop docker.socket docker.service containerd
              mount -t tmpfs -o size=100m none /var/lib/containerd
              sed -i '1s/{/{"features": {"containerd-snapshotter": true},/' /etc/docker/daemon.json
              systemctl start containerd docker""")
    try:
        assert "io.containerd.snapshotter.v1" in job.sh("docker info -f '{{.DriverStatus}}'")
        with job.untouched():
            said = job.up(expect=1).output
        assert "/var/lib/containerd has 0.1 GiB free; 6.0 GiB needed for images" in said
    finally:
        job.sh("""systemctl stop docker.socket docker.service containerd
                  umount /var/lib/containerd; mv /root/kept /etc/docker/daemon.json
                  systemctl start containerd docker""")
    job.up()


@pytest.fixture
def own_state(local_deployment: MakeDeployment) -> Iterator[Deployment]:
    """A deployment whose state directory has been root's OpenClaw's."""
    one = local_deployment()
    state = f"/root/{one.name}"
    one.sh(f"""mkdir -p {state}/workspace/notes
               echo remembered >{state}/workspace/notes/MEMORY.md
               echo '{{"messages": {{"responsePrefix": "mine"}}}}' >{state}/openclaw.json""")
    yield one
    one.sh(f"rm -rf {state}")


def test_root_s_own_state_is_refused_and_used_once_it_is_given(own_state: Deployment) -> None:
    state = f"/root/{own_state.name}"
    wanted = {"directories": {"config": state, "workspace": f"{state}/workspace"}}
    before = own_state.sh(f"find {state} -printf '%p %U %m %C@\\n' | sort")
    said = own_state.claw("up", settings=wanted, expect=1).output
    assert own_state.sh(f"find {state} -printf '%p %U %m %C@\\n' | sort") == before
    assert "belong to others than the gateway" in " ".join(said.split())
    (command,) = set(re.findall(r"chown -hR \d+:\d+ \S+", " ".join(said.split())))
    own_state.sh(command)
    own_state.claw("up", settings=wanted)
    inside = own_state.sh(
        f"docker exec {own_state.name}-openclaw-gateway-1 sh -c"
        " 'cd ~/.openclaw; cat workspace/notes/MEMORY.md openclaw.json;"
        " echo more >>workspace/notes/MEMORY.md'"
    )
    assert "remembered" in inside and '"responsePrefix": "mine"' in inside
    own_state.claw("up", settings=wanted)
    own_state.claw("up", "--dry", settings=wanted)
