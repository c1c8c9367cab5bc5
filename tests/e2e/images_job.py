"""A deploy of nothing but the gateway's image, on this machine, and a registry on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from docker.errors import APIError, ImageNotFound

from lab import hosts as lab
from tests.e2e.harness import ROOT, free_port, until

DEPLOY = """
from operations.images import stage as images
from operations.base import preflight

settings = preflight.run()
images.build(settings)
images.prune(settings)
"""
REGISTRY = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {directory}}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
"""
LOGIN = """auth: {{htpasswd: {{realm: lab, path: {directory}/htpasswd}}}}
"""


class Job:
    """The images stage of one deployment, its inventory and lock in a directory of its own."""

    deploy = DEPLOY

    def __init__(self, directory: Path, name: str) -> None:
        self.directory, self.name = directory, name
        self.project = directory / "project"
        self.lock = directory / "openclaw.lock.yml"
        (directory / "deploy.py").write_text(self.deploy)

    @property
    def tag(self) -> str:
        return f"{self.name}:local"

    def run(self, *args: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """Run plain pyinfra with settings; standard output is its JSON."""
        data = {
            "name": self.name,
            "engine": {"socket": str(lab.SOCKET)},
            "directories": {"project": str(self.project)},
            **settings,
        }
        data["gateway"] = {"port": free_port(), **settings.get("gateway", {})}
        inventory = self.directory / "inventory.py"
        inventory.write_text(f"hosts = [('@local', {data!r})]\n")
        command = [sys.executable, "-m", "pyinfra", "--json", *(args or ("-y",))]
        return subprocess.run(
            [*command, str(inventory), str(self.directory / "deploy.py")],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )

    def up(self, **settings: Any) -> list[str]:
        """Deploy; return the names of the operations that changed something."""
        done = self.run(**settings)
        assert done.returncode == 0, done.stderr[-3000:]
        operations = json.loads(done.stdout)["results"]["operations"]
        return [one["name"].partition(" | ")[2] for one in operations if one["success"]]

    def refused(self, **settings: Any) -> str:
        """Deploy what must fail; return what it said."""
        done = self.run(**settings)
        assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stderr

    def planned(self, **settings: Any) -> list[str]:
        """Return the names of the operations that `--dry` says will change something."""
        done = self.run("--dry", **settings)
        assert done.returncode == 0, done.stderr[-3000:]
        plan = json.loads(done.stdout)["plan"]
        return [one["name"].partition(" | ")[2] for one in plan if one["hosts_with_change"]]

    def image(self) -> str:
        """Return the id of the deployment's image, '' if there is none."""
        return identity(self.tag)

    def label(self, name: str) -> str:
        """Return a label of its image, '' if it has none of that name."""
        return str(lab.client().images.get(self.tag).labels.get(name, ""))

    def images(self) -> list[str]:
        own = {"label": f"openclaw-pyinfra.deployment={self.name}"}
        return [str(one.id) for one in lab.client().images.list(filters=own)]

    def remove(self) -> None:
        remove_images(self.images())


def identity(tag: str) -> str:
    """Return the id of an image, '' if there is none."""
    try:
        return str(lab.client().images.get(tag).id)
    except ImageNotFound:
        return ""


def remove_images(ids: Iterable[str]) -> None:
    for one in set(ids):
        with suppress(APIError):  # a container that somebody else started from it has it still
            lab.client().images.remove(one, force=True)


class Registry:
    """Debian's docker-registry, unpacked and not installed, on a free port, of loopback by default.

    `logins` are the lines of its htpasswd; without any everybody may do everything.
    """

    def __init__(self, directory: Path, logins: str = "", host: str = "127.0.0.1") -> None:
        self.directory, self.address = directory, f"{host}:{free_port()}"
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "docker-registry"],
            cwd=directory,
            check=True,
            capture_output=True,
        )
        (package,) = directory.glob("docker-registry_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(directory)], check=True)
        configuration = REGISTRY.format(directory=directory / "data", address=self.address)
        if logins:
            configuration += LOGIN.format(directory=directory)
            (directory / "htpasswd").write_text(logins)
        (directory / "config.yml").write_text(configuration)
        self._pushed: list[str] = []
        self.start()

    def start(self) -> None:
        program = str(self.directory / "usr/bin/docker-registry")
        with (self.directory / "log").open("a") as log:
            self.process = subprocess.Popen(
                [program, "serve", str(self.directory / "config.yml")], stdout=log, stderr=log
            )
        until(self._answers, 180, "the registry answers")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def remove(self) -> None:
        """Stop it, and take what was pulled from it off the engine."""
        self.stop()
        names = {"reference": [f"{self.address}/{path}" for path in ("*", "*/*")]}
        remove_images(str(one.id) for one in lab.client().images.list(filters=names))

    def push(self, image: str, path: str) -> str:
        """Push a local image as `path`; return its digest. The local tag is removed again."""
        reference = f"{self.address}/{path}"
        images = lab.client().images
        images.get(image).tag(reference)
        said = images.push(reference)
        assert '"error"' not in said, said
        (digest,) = (
            name.partition("@")[2]
            for name in images.get(reference).attrs["RepoDigests"]
            if name.startswith(reference.rpartition(":")[0])
        )
        images.remove(reference)
        return digest

    def _answers(self) -> bool:
        address = f"http://{self.address}/v2/"
        return subprocess.run(["curl", "-s", address], capture_output=True).returncode == 0


class _Refusal(BaseHTTPRequestHandler):
    """What registries answer when they refuse; by the first word of the repository."""

    def do_GET(self) -> None:
        word = self.path.removeprefix("/v2/").partition("/")[0]
        status, code = {
            "limited": (429, "TOOMANYREQUESTS"),
            "private": (401, "UNAUTHORIZED"),
            "": (200, ""),
        }.get(word, (404, "MANIFEST_UNKNOWN"))
        answer = {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
        body = json.dumps(answer if code else {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def refusing_registry() -> Iterator[str]:
    """A registry that refuses everything; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusal)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
