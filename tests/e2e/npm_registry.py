"""npm registries on loopback or an engine's bridge: one with packages of our own, and one that
stands between a build and the registry that this machine's npm is configured for. Both can spoil
a tarball.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class Registry:
    """Answers by `get(path)`; `spoiled` are parts of the addresses of tarballs of which the last
    byte is another, `gone` those that it does not have; `served` are those that were given."""

    def __init__(self) -> None:
        self.spoiled: set[str] = set()
        self.gone: set[str] = set()
        self.served: list[str] = []
        self.url = ""

    def get(self, path: str, accept: str) -> bytes | None:
        raise NotImplementedError

    def answer(self, path: str, accept: str) -> bytes | None:
        if any(part in path for part in self.gone):
            return None
        found = self.get(path, accept)
        if found is not None and path.endswith(".tgz"):
            self.served.append(path)
            if any(part in path for part in self.spoiled):
                return found[:-1] + bytes([found[-1] ^ 1])
        return found


class Own(Registry):
    """Packages that are given as `package.json` and further files; `integrity` is what it says."""

    def __init__(self, packages: list[tuple[dict[str, Any], dict[str, str]]]) -> None:
        super().__init__()
        self.manifests = {manifest["name"]: manifest for manifest, _ in packages}
        self.tarballs = {
            manifest["name"]: _tarball(manifest, files) for manifest, files in packages
        }
        self.integrity = {name: integrity(text) for name, text in self.tarballs.items()}

    def get(self, path: str, accept: str) -> bytes | None:
        name = path.strip("/").partition("/-/")[0].replace("%2f", "/")
        if name not in self.tarballs:
            return None
        if path.endswith(".tgz"):
            return self.tarballs[name]
        manifest = self.manifests[name]
        dist = {
            "integrity": self.integrity[name],
            "tarball": f"{self.url}/{name}/-/{name}-{manifest['version']}.tgz",
        }
        versions = {manifest["version"]: {**manifest, "dist": dist}}
        tags = {"latest": manifest["version"]}
        return json.dumps({"name": name, "dist-tags": tags, "versions": versions}).encode()


class Mirror(Registry):
    """What this machine's registry has."""

    def __init__(self) -> None:
        super().__init__()
        asked = subprocess.run(
            ["npm", "config", "get", "registry"], capture_output=True, text=True, check=True
        )
        self.upstream = asked.stdout.strip().rstrip("/")

    def get(self, path: str, accept: str) -> bytes | None:
        try:
            with urlopen(Request(self.upstream + path, headers={"Accept": accept})) as answer:
                found: bytes = answer.read()
        except HTTPError:
            return None
        if path.endswith(".tgz"):
            return found
        return found.replace(self.upstream.encode(), self.url.encode())


@contextmanager
def serving(registry: Registry, address: str = "127.0.0.1") -> Iterator[Registry]:
    """Serve it at a free port of an address of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = registry.answer(self.path, self.headers.get("Accept", "*/*"))
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer((address, 0), Handler)
    registry.url = f"http://{address}:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()


def integrity(tarball: bytes) -> str:
    """Return npm's name for a content."""
    return "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()


def _tarball(manifest: dict[str, Any], files: dict[str, str]) -> bytes:
    whole = io.BytesIO()
    packed = gzip.GzipFile(fileobj=whole, mode="wb", mtime=0)
    with packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in {"package.json": json.dumps(manifest), **files}.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return whole.getvalue()
