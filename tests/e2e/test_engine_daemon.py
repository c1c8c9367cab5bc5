"""daemon.json on a real engine: what is kept, what a change costs, and a change that fails."""

from __future__ import annotations

import json

import pytest

from tests.e2e.engine_job import TINY, Job

pytestmark = [pytest.mark.engine, pytest.mark.whole]

SUITES = ("bookworm", "trixie")  # engine 20.10, which cannot validate the file, and 26.1
FILE = "/etc/docker/daemon.json"


@pytest.fixture(scope="module", params=SUITES)
def job(request, lab_host, deployment, tmp_path_factory) -> Job:
    host = lab_host(request.param, "engine")
    job = Job(deployment(host, engine={"source": "distro"}), tmp_path_factory.mktemp("job"))
    job.up()
    job.sh(f"docker inspect sleeper >/dev/null 2>&1 || {{ {TINY} }}")
    return job


def test_engine_first_starts_with_its_daemon_json(job: Job):
    """Once started, never restarted: apt started it, and the file was there."""
    starts = job.sh("journalctl -u docker -o cat | grep -c 'API listen on'")
    assert starts == "1"
    assert json.loads(job.sh(f"cat {FILE}"))["live-restore"] is True
    with job.untouched():
        job.up()


def test_user_s_engine_with_containers_is_taken_over_without_stopping_them(job: Job):
    job.sh(f"""echo '{{"debug": true}}' >{FILE}; systemctl restart docker
               docker start sleeper >/dev/null""")
    assert job.sh("docker info -f '{{.LiveRestoreEnabled}}'") == "false"
    container = job.sleeper()
    job.up()
    assert job.sleeper() == container
    merged = json.loads(job.sh(f"cat {FILE}"))
    assert merged["debug"] is True
    assert merged["log-opts"] == {"max-size": "10m", "max-file": "3"}
    with job.untouched():
        job.up()


def test_reload_where_it_suffices_and_restart_where_not(job: Job):
    daemon, container = job.daemon(), job.sleeper()
    job.up(registry_mirrors=["http://127.0.0.1:5999"])
    assert job.daemon() == daemon
    assert "127.0.0.1:5999" in job.sh("docker info -f '{{.RegistryConfig.Mirrors}}'")
    job.up(registry_mirrors=["http://127.0.0.1:5999"], log_max_size="7m")
    assert job.daemon() != daemon
    assert job.sleeper() == container


def test_daemon_json_that_the_engine_refuses_is_taken_back(job: Job):
    before, container = job.sh(f"cat {FILE}"), job.sleeper()
    said = job.up(daemon={"no-such-key": 1}, expect=1).output
    assert "no-such-key" in said
    assert job.sh(f"cat {FILE}") == before
    assert job.sh("ls /etc/docker | grep openclaw || true") == ""
    assert job.sleeper() == container
    with job.untouched():
        job.up("--dry")


def test_invalid_json_of_the_user_is_named_and_left(job: Job):
    text = '{\n  "debug": true,\n  "labels" []\n}'
    job.sh(f"cp -p {FILE} /root/kept; cat >{FILE} <<'END'\n{text}\nEND")
    with job.untouched():
        said = job.up(expect=1).output
    assert f"{FILE} is not valid JSON: line 3" in said
    job.sh(f"mv /root/kept {FILE}")


def test_proxy_reaches_the_engine_and_its_password_nobody_else(job: Job):
    proxies = {"http-proxy": "http://user:canary-7f3a@127.0.0.1:3128"}
    for _ in range(2):
        said = job.up("-vvv", "--diff", daemon={"proxies": proxies}).output
        assert "canary-7f3a" not in said
    assert "127.0.0.1:3128" in job.sh("docker info -f '{{.HTTPProxy}}'")
    holders = job.sh("grep -rl canary-7f3a /etc/docker /etc/systemd/system | xargs stat -c %a")
    assert set(holders.split()) == {"600"}
