"""Docker's signing key is taken by its fingerprint alone; HTTPS stays HTTPS where it redirects."""

from __future__ import annotations

import base64
import hashlib
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from operations.base import templates
from operations.engine.apt_sources import FINGERPRINT
from operations.images import building, definitions, gateway, pipeline
from tests.operations.hosts import commands
from toolkit import lockfile
from toolkit.settings import Settings

PUBLIC, SECRET, SIGNATURE, NAME, SUBKEY = 6, 5, 2, 13, 14


def body(seed: int) -> bytes:
    """A public key of version 4."""
    return b"\x04" + bytes([seed]) * 524


def fingerprint(key: bytes) -> str:
    return hashlib.sha1(b"\x99" + len(key).to_bytes(2, "big") + key).hexdigest().upper()


def old(tag: int, content: bytes) -> bytes:
    return bytes([0x80 | tag << 2 | 1]) + len(content).to_bytes(2, "big") + content


def new(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 192:
        return bytes([0xC0 | tag, length]) + content
    size = bytes([(length - 192) // 256 + 192, (length - 192) % 256])
    return bytes([0xC0 | tag]) + size + content


def armored(packets: bytes) -> str:
    text = base64.encodebytes(packets).decode()
    edge = "PGP PUBLIC KEY BLOCK-----"
    return f"-----BEGIN {edge}\n\n{text}=abcd\n-----END {edge}\n"


def fetch(
    directory: Path, url: str, expected: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the script; the key is to be `keyrings/docker.asc` in the directory."""
    (directory / "keyrings").mkdir()
    script = templates.render(
        "packages/key.sh.j2",
        setting="engine.repository_key",
        key=str(directory / "keyrings" / "docker.asc"),
        url=url,
        fingerprint=expected,
    )
    text = script.replace("/etc/apt/keyrings", str(directory / "keyrings"))
    return subprocess.run(["sh", "-s"], input=text, env=environment, capture_output=True, text=True)


@pytest.fixture
def served(tmp_path: Path) -> dict[str, str]:
    """An environment whose curl gives the file `answer`."""
    program = tmp_path / "bin" / "curl"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\ncp {tmp_path}/answer "$2"\n'
    )
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:/usr/bin:/bin"}


@pytest.mark.parametrize("form", [old, new])
def test_the_key_with_the_fingerprint_is_taken(form, served, tmp_path: Path) -> None:
    packets = [form(PUBLIC, body(1)), form(NAME, b"A"), form(SIGNATURE, b"s" * 300)]
    packets += [form(SUBKEY, body(2)), form(SIGNATURE, b"s")]
    text = armored(b"".join(packets))
    (tmp_path / "answer").write_text(text)
    done = fetch(tmp_path, "https://x.invalid/gpg", fingerprint(body(1)), served)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "keyrings" / "docker.asc").read_text() == text
    assert (tmp_path / "keyrings" / "docker.asc").stat().st_mode & 0o777 == 0o644


PLAIN = {"PATH": "/usr/bin:/bin", "no_proxy": "*", "NO_PROXY": "*"}
GOOD, OTHER = old(PUBLIC, body(1)), old(PUBLIC, body(2))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (armored(OTHER), fingerprint(body(2))),
        (armored(GOOD + OTHER), f"{fingerprint(body(1))} {fingerprint(body(2))}"),
        (armored(GOOD + new(PUBLIC, body(2))), fingerprint(body(2))),
        (armored(GOOD + old(SECRET, body(2))), "?"),
        (armored(GOOD + b"\x80"), "?"),
        (armored(GOOD + b"\xb4\xff"), "?"),
        (armored(GOOD[:-1]), "?"),
        (armored(GOOD + b"\x00"), "?"),
        (armored(GOOD) + armored(OTHER), "is not one OpenPGP key"),
        (armored(GOOD).replace("=abcd", armored(OTHER)), "is not one OpenPGP key"),
        ("<html></html>", "is not one OpenPGP key"),
        ("", "is not one OpenPGP key"),
    ],
)
def test_any_other_is_refused_and_both_fingerprints_named(
    answer: str, found: str, served, tmp_path: Path
) -> None:
    (tmp_path / "answer").write_text(answer)
    done = fetch(tmp_path, "https://x.invalid/gpg", fingerprint(body(1)), served)
    assert done.returncode == 1
    assert found in done.stderr and "https://x.invalid/gpg" in done.stderr
    if "is not" not in found:
        assert f"expected the key with fingerprint {fingerprint(body(1))}" in done.stderr
    assert list((tmp_path / "keyrings").iterdir()) == []


@dataclass
class Redirecting:
    """An HTTPS server that redirects everything to plain HTTP; `asked`: whether over HTTPS."""

    url: str
    certificate: str
    asked: list[bool]


@pytest.fixture
def redirecting(tmp_path: Path) -> Iterator[Redirecting]:
    asked: list[bool] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            secure = self.server is servers[0]
            asked.append(secure)
            self.send_response(302 if secure else 200)
            if secure:
                address = f"http://127.0.0.1:{servers[1].server_port}{self.path}"
                self.send_header("Location", address)
            text = b"" if secure else armored(GOOD).encode()
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *arguments: object) -> None:
            pass

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=lab", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    servers[0].socket = context.wrap_socket(servers[0].socket, server_side=True)
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Redirecting(f"https://127.0.0.1:{servers[0].server_port}/r", str(certificate), asked)
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_key_is_not_fetched_over_plain_http(redirecting: Redirecting, tmp_path: Path) -> None:
    environment = {**PLAIN, "CURL_CA_BUNDLE": redirecting.certificate}
    done = fetch(tmp_path, redirecting.url, fingerprint(body(1)), environment)
    assert done.returncode and redirecting.asked == [True]
    assert "rotocol" in done.stderr
    assert list((tmp_path / "keyrings").iterdir()) == []


def test_a_checkout_does_not_go_on_over_plain_http(
    redirecting: Redirecting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockfile, "location", lambda: tmp_path / lockfile.NAME)
    wanted = Settings.model_validate(
        {"gateway": {"source": "git", "repository": redirecting.url, "ref": "main"}}
    )
    there = {"images": "", "packages": "installed git 2.39"}
    built = commands(pipeline.built, there, settings=wanted, images=[definitions.GATEWAY])
    script = built[0].stdin.replace(gateway.checkout(wanted), str(tmp_path / "source"))
    environment = {**PLAIN, "GIT_SSL_CAINFO": redirecting.certificate}
    done = subprocess.run(
        ["sh", "-s"], input=script, env=environment, capture_output=True, text=True
    )
    assert set(redirecting.asked) == {True}
    assert "rotocol" in done.stderr


@pytest.mark.parametrize(
    ("repository", "protocol"),
    [
        ("https://x.invalid/r", "https"),
        ("http://x.invalid/r", "http"),
        ("ssh://x.invalid/r", "ssh"),
        ("git@x.invalid:r", "ssh"),
        ("file:///r", "file"),
        ("/r", "file"),
    ],
)
def test_a_checkout_may_use_the_repository_s_protocol(repository: str, protocol: str) -> None:
    assert building._protocol(repository) == protocol


def test_the_fingerprint_is_forty_digits() -> None:
    assert len(FINGERPRINT) == 40 and int(FINGERPRINT, 16)
