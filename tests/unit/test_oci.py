"""What a registry is asked, with which login, and what its answers mean."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from toolkit import oci

DIGEST = "sha256:" + "1" * 64
LOGIN = ("claw", "s3cret:with-colon")
BASIC = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()


class Handler(BaseHTTPRequestHandler):
    """The first part of the path says how the registry asks for a login."""

    def do_HEAD(self) -> None:
        kind, name = self.path.removeprefix("/v2/").split("/")[:2]
        authorization = self.headers.get("Authorization", "")
        wanted = {"open": "", "basic": BASIC, "bearer": "Bearer t0ken", "tls": "never"}[kind]
        if authorization != wanted:
            self.send_response(401)
            realm = f"http://{self.headers['Host']}/token"
            challenge = f'Bearer realm="{realm}",service="lab",scope="repository:{name}:pull"'
            self.send_header(
                "WWW-Authenticate", challenge if kind == "bearer" else 'Basic realm="lab"'
            )
        elif name == "missing":
            self.send_response(404)
        else:
            assert "manifest" in self.headers["Accept"]
            self.send_response(200)
            self.send_header("Docker-Content-Digest", DIGEST)
        self.end_headers()

    def do_GET(self) -> None:
        assert self.path == "/token?service=lab&scope=repository%3Aclaw%3Apull"
        granted = self.headers.get("Authorization") == BASIC
        self.send_response(200 if granted else 401)
        self.end_headers()
        if granted:
            self.wfile.write(json.dumps({"token": "t0ken"}).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(
    ("path", "login", "found"),
    [
        ("open/claw", None, DIGEST),
        ("open/missing", None, None),
        ("basic/claw", LOGIN, DIGEST),
        ("bearer/claw", LOGIN, DIGEST),
    ],
)
def test_a_registry_says_what_it_has(
    registry: str, path: str, login: oci.Login, found: str | None
) -> None:
    assert oci.digest(f"{registry}/{path}", "tag", login, plain=True) == found


@pytest.mark.parametrize(("path", "login"), [("basic/claw", None), ("tls/claw", LOGIN)])
def test_a_refused_login_is_said_without_it(registry: str, path: str, login: oci.Login) -> None:
    with pytest.raises(oci.RegistryError, match=r"^401 unauthorized$"):
        oci.digest(f"{registry}/{path}", "tag", login, plain=True)


def test_without_tls_only_where_that_is_allowed(registry: str) -> None:
    with pytest.raises(oci.RegistryError):
        oci.digest(f"{registry}/open/claw", "tag")


def test_a_login_that_is_asked_for_with_tls_is_not_given_without() -> None:
    challenge = 'Bearer realm="http://registry.invalid/token",service="x"'
    assert oci._authorization("https://registry.invalid/v2/a/manifests/b", challenge, LOGIN) == ""


def test_a_registry_that_is_not_there_says_why() -> None:
    with pytest.raises(oci.RegistryError, match="refused"):
        oci.digest("127.0.0.1:1/claw", "tag", plain=True)
