"""Docker's own packages, from a stand-in of Docker's apt repository on a neighbouring lab host.

The stand-in is signed by its own key and holds Debian's builds under Docker's five names, so what
is proved is the way: key, deb822 source, conflicting packages, what is kept.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import hosts as lab
from operations.engine import daemon
from operations.engine.apt_sources import KEY, SOURCE
from tests.e2e.engine_job import TINY, Job

pytestmark = [pytest.mark.engine, pytest.mark.whole]

OFFICIAL = {
    "docker-ce",
    "docker-ce-cli",
    "containerd.io",
    "docker-buildx-plugin",
    "docker-compose-plugin",
}
DISTRIBUTION = {"docker.io", "docker-cli", "containerd", "runc", "docker-compose", "docker-buildx"}


OVER_HTTPS = """set -e
cd /root
[ -e lab.crt ] || openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=lab \\
  -addext "subjectAltName=IP:$1" -keyout lab.key -out lab.crt 2>/dev/null
cat >https.py <<'END'
import http.server, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/root/lab.crt", "/root/lab.key")
server = http.server.ThreadingHTTPServer(("", 443), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
END
systemctl is-active --quiet repository-https ||
  systemd-run --quiet --unit=repository-https --working-directory=/srv/site python3 /root/https.py
timeout 20 sh -c 'until curl -ksf https://127.0.0.1/debian/gpg >/dev/null; do sleep 0.1; done'
cat lab.crt"""


@dataclass(frozen=True)
class Repository:
    host: str
    url: str
    key: Path


@pytest.fixture(scope="module")
def repository(lab_host, tmp_path_factory) -> Repository:
    host = lab_host("trixie", "repository")
    script = (Path(lab.HERE) / "docker_repository.sh").read_text()
    done = lab.ssh(host.name, f"cat >/root/make.sh <<'END_OF_SCRIPT'\n{script}\nEND_OF_SCRIPT")
    assert done.returncode == 0, done.stderr
    if lab.ssh(host.name, "test -e /srv/site/debian/gpg").returncode:
        done = lab.ssh(host.name, "sh /root/make.sh /srv/site")
        assert done.returncode == 0, done.stdout + done.stderr
    key = tmp_path_factory.mktemp("key") / "docker.asc"
    key.write_text(lab.ssh(host.name, "cat /srv/site/debian/gpg").stdout)
    return Repository(host.name, f"http://{host.ip}", key)


@pytest.fixture
def job(fresh_host, deployment, repository, tmp_path) -> Job:
    settings = {"repository_url": repository.url, "repository_key": str(repository.key)}
    return Job(deployment(fresh_host("trixie"), engine=settings), tmp_path)


def test_bare_host(job: Job, repository: Repository):
    """`auto` takes Docker's repository when it can be reached; the second run changes nothing."""
    job.up("--dry", expect=2)
    job.up(source="auto")
    assert job.installed() >= OFFICIAL
    assert not job.installed() & DISTRIBUTION
    assert job.sh("docker version -f '{{.Server.Version}}'")
    assert job.sh("docker compose version --short")
    assert job.sh("systemctl is-enabled docker") == "enabled"
    assert job.sh("docker info -f '{{.LiveRestoreEnabled}}'") == "true"
    assert job.sh("stat -c %a:%U /etc/apt/keyrings/docker.asc") == "644:root"
    source = job.sh("cat /etc/apt/sources.list.d/docker.sources")
    assert f"URIs: {repository.url}/debian" in source
    assert "Signed-By: /etc/apt/keyrings/docker.asc" in source
    with job.untouched():
        job.up("--dry", source="official", expect=0)
        job.up(source="official")
        job.up(source="auto")
        said = job.up(source="distro", expect=1).output
        assert "docker-ce" in said and "fix: " in said


def test_official_replaces_the_distribution_and_keeps_what_it_stored(job: Job):
    """`auto` falls back to the distribution, stays with it, and only `official` replaces it."""
    job.up(source="auto", repository_url="http://127.0.0.1:9")
    assert job.installed() >= DISTRIBUTION
    job.sh(TINY)
    job.sh("touch $(docker volume inspect kept -f '{{.Mountpoint}}')/proof")
    with job.untouched():
        job.up(source="auto")
    image = job.sh("docker image inspect tiny -f '{{.Id}}'")
    said = job.up(source="official").output
    assert "docker.io" in said and "/var/lib/docker stays" in said
    assert job.installed() >= OFFICIAL
    assert not job.installed() & DISTRIBUTION
    assert job.sh("docker image inspect tiny -f '{{.Id}}'") == image
    assert job.sh("ls $(docker volume inspect kept -f '{{.Mountpoint}}')") == "proof"
    assert job.sh("docker inspect sleeper -f '{{.State.Running}}'") == "true"
    with job.untouched():
        job.up(source="official")


def test_repository_that_another_key_signed_is_refused(job: Job, tmp_path):
    wrong = tmp_path / "wrong.asc"
    wrong.write_text(job.sh("cat /etc/apt/trusted.gpg.d/debian-archive-trixie-automatic.asc"))
    said = job.up(source="official", repository_key=str(wrong), expect=1).output
    assert "Traceback" not in said and "unexpected" not in said
    assert "not signed" in said or "NO_PUBKEY" in said or "Missing key" in said
    assert not job.installed() & OFFICIAL


def test_key_of_another_repository_is_refused_before_anything_is_trusted(
    job: Job, repository: Repository
):
    """The stand-in's key is not Docker's, and no key of our own says that it may be taken."""
    ip = repository.url.removeprefix("http://")
    done = lab.ssh(repository.host, f"sh -s {ip} <<'END_OF_SCRIPT'\n{OVER_HTTPS}\nEND_OF_SCRIPT")
    assert done.returncode == 0, done.stderr
    job.sh(
        f"cat >/usr/local/share/ca-certificates/lab.crt <<'END'\n{done.stdout}END\n"
        "update-ca-certificates 2>&1"
    )
    url = f"https://{ip}"
    said = job.up(source="official", repository_url=url, repository_key=None, expect=1).output
    assert "Traceback" not in said and "engine.repository_key" in said
    said = "".join(said.split())
    assert "expectedthekeywithfingerprint9DC858229FC7DD38854AE2D88D81803C0EBFCD88" in said
    lines = repository.key.read_text().split("\n\n")[1].splitlines()
    packets = base64.b64decode("".join(line for line in lines if line[:1] not in "=-"))
    primary = packets[: 3 + int.from_bytes(packets[1:3], "big")]
    assert hashlib.sha1(primary).hexdigest().upper() in said
    assert not job.installed() & OFFICIAL
    for path in (KEY, SOURCE, daemon.PATH):
        job.sh(f"test ! -e {path}")
