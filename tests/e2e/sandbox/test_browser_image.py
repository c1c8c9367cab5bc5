"""The browser's image on a real engine: OpenClaw's contract, from where the gateway stands."""

from __future__ import annotations

import base64
import http.client
import json
import re
import secrets
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e.harness import until
from tests.e2e.sandbox.images_job import CLOSED, SandboxJob

pytestmark = [pytest.mark.engine, pytest.mark.long]
SANDBOX = {"browser": {"enabled": True}}
TOKEN, PASSWORD = "relay-canary", "vcanary1"
COMMAND_LINES = r"cat /proc/[0-9]*/cmdline | tr '\0' ' '"
HOLDERS = r"""grep -l canary /proc/[0-9]*/environ |
while read -r file; do tr '\0' ' ' <${file%/*}/cmdline; echo; done"""
KILL = r"""for file in /proc/[0-9]*/cmdline; do
  if grep -qa "^$0" $file; then kill -9 $(echo $file | cut -d/ -f3); fi
done"""


@pytest.fixture(scope="module")
def job(engine: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxJob]:
    made = SandboxJob(tmp_path_factory.mktemp("browser"), f"sandbox-{secrets.token_hex(3)}")
    made.up(sandbox=SANDBOX)
    yield made
    made.remove()


@contextmanager
def browser(job: SandboxJob, **variables: str) -> Iterator[tuple[str, int, int]]:
    """A browser as the gateway starts it: its container, and the ports of the relay and noVNC."""
    given = {
        "HEADLESS": "0",
        "ENABLE_NOVNC": "1",
        "CDP_PORT": "9222",
        "CDP_AUTH_TOKEN": TOKEN,
        "NOVNC_PORT": "6080",
        "NOVNC_PASSWORD": PASSWORD,
        "NO_SANDBOX": "1",
        "AUTO_START_TIMEOUT_MS": "60000",
        **variables,
    }
    ports = [f"{given[port]}/tcp" for port in ("CDP_PORT", "NOVNC_PORT")]
    options = {
        "environment": {f"OPENCLAW_BROWSER_{name}": value for name, value in given.items()},
        "ports": dict.fromkeys(ports, ("127.0.0.1",)),
        **CLOSED,
    }
    container = lab.client().containers.run(job.tagged("browser"), detach=True, **options)
    try:
        container.reload()
        relay, novnc = (int((container.ports[port] or [])[0]["HostPort"]) for port in ports)
        yield str(container.id), relay, novnc
    finally:
        container.remove(force=True)


def ask(
    port: int, authorization: str = "", method: str = "GET", path: str = "/json/version"
) -> tuple[int | None, Any, bytes]:
    """Ask over HTTP; the status is None where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Authorization": authorization} if authorization else {}
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    except (OSError, http.client.HTTPException):
        return None, {}, b""
    finally:
        connection.close()


def basic(token: str) -> str:
    return "Basic " + base64.b64encode(f"openclaw:{token}".encode()).decode()


def ready(relay: int) -> None:
    until(lambda: ask(relay)[0] == 401, 90, "the relay refuses")


def inside(container: str, script: str, *words: str) -> str:
    shell = ["bash", "-c", script, *words]
    said: Any = lab.container(container).exec_run(shell, stderr=False).output
    return str(said, errors="replace")


def test_the_relay_lets_in_who_has_the_token(job: SandboxJob) -> None:
    with browser(job, CDP_PORT="9333") as (_, relay, _):
        ready(relay)
        status, headers, _ = ask(relay, basic("wrong"))
        assert status == 401 and headers["WWW-Authenticate"].startswith("Basic")
        for authorization in (basic(TOKEN), f"Bearer {TOKEN}"):
            # Chromium names the port at which it was asked: OpenClaw connects to that one.
            said = ask(relay, authorization)[2].decode()
            assert f"ws://127.0.0.1:{relay}/devtools/browser/" in said
        page = "/json/new?data:text/html,<title>seen</title>"
        assert ask(relay, basic(TOKEN), "PUT", page)[0] == 200

        def titles() -> list[str]:
            pages = json.loads(ask(relay, basic(TOKEN), path="/json/list")[2])
            return [one["title"] for one in pages]

        until(lambda: "seen" in titles(), 180, "the page has its title")


@pytest.mark.parametrize(
    ("variables", "answers"),
    [
        ({"CDP_SOURCE_RANGE": "192.0.2.0/24"}, False),
        ({"CDP_SOURCE_RANGE": "0.0.0.0/0"}, True),
        ({"CDP_AUTH_TOKEN": ""}, False),
        ({"HEADLESS": "1"}, True),
        ({"DISABLE_GRAPHICS_FLAGS": "0", "RENDERER_PROCESS_LIMIT": "0"}, True),
    ],
)
def test_the_contracts_variables_are_honoured(
    job: SandboxJob, variables: dict[str, str], answers: bool
) -> None:
    chromium = "curl -fs http://127.0.0.1:9223/json/version"
    with browser(job, **variables) as (container, relay, _):
        until(lambda: "Browser" in inside(container, chromium), 90, "Chromium answers")
        if answers:
            until(lambda: ask(relay, basic(TOKEN))[0] == 200, 180, "the relay answers")
        else:
            assert ask(relay, basic(TOKEN))[0] is None
        arguments = inside(container, COMMAND_LINES)
        assert ("Xvfb" in arguments) is (variables.get("HEADLESS") != "1")
        assert ("--disable-gpu " in arguments) is ("DISABLE_GRAPHICS_FLAGS" not in variables)
        assert ("-process-limit=2" in arguments) is ("RENDERER_PROCESS_LIMIT" not in variables)


def test_a_variable_that_cannot_be_is_named(job: SandboxJob) -> None:
    variable = "OPENCLAW_BROWSER_RENDERER_PROCESS_LIMIT"
    with pytest.raises(lab.LabError) as refused:
        lab.output(job.tagged("browser"), [], environment={variable: "many"}, **CLOSED)
    assert "non-zero exit status 1" in str(refused.value)
    assert f"{variable}=many: accepted: 0 to 1000" in str(refused.value)


def test_secrets_are_in_no_argument_and_no_file(job: SandboxJob) -> None:
    with browser(job) as (container, relay, _):
        ready(relay)
        files = "find /tmp /run /var/tmp -type f -exec cat {} +"
        seen = inside(container, f"{{ cat /proc/[0-9]*/cmdline; {files}; }} 2>/dev/null | base64")
        found = base64.b64decode(seen)
        assert b"chromium" in found
        assert TOKEN.encode() not in found and PASSWORD.encode() not in found
        # Nor does what runs pages inherit them.
        holders = inside(container, HOLDERS)
        assert "openclaw-sandbox-browser" in holders
        assert not re.search("chromium/|Xvfb|x11vnc|websockify|haproxy", holders)
        logs = lab.container(container).logs()
        assert b"DevTools listening" in logs and b"canary" not in logs


@pytest.mark.parametrize("name", ["haproxy", "x11vnc", "Xvfb", "/usr/lib/chromium/chromium --rem"])
def test_everything_ends_when_one_process_does(job: SandboxJob, name: str) -> None:
    with browser(job) as (container, relay, _):
        ready(relay)
        inside(container, KILL, name.replace(" ", "."))
        assert lab.container(container).wait()["StatusCode"] == 1


def test_novnc_wants_its_password(job: SandboxJob) -> None:
    with browser(job) as (_, relay, novnc):
        ready(relay)
        assert handshake(novnc, "wrong") != 0
        assert handshake(novnc, PASSWORD) == 0
        assert b"noVNC" in ask(novnc, path="/vnc.html")[2]
    with browser(job, NOVNC_PASSWORD="") as (_, relay, novnc):
        ready(relay)
        assert handshake(novnc, "") != 0  # made up, not absent


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('LABEL org.openclaw.sandbox-browser.contract="2025-01-01"', "is 2025-01-01, OpenClaw"),
        ("RUN sed -i '/return status 401/d' /usr/local/etc/*.cfg", "answers 200 without a token"),
        ("RUN sed -i '/connection reject/d' /usr/local/etc/*.cfg", "outside of its source range"),
        ("RUN sed -i 's/-passwdfile [^ ]* /-nopw /' /usr/local/bin/openclaw*", "security types"),
        ("RUN rm /usr/bin/Xvfb", "the display did not start"),
    ],
)
def test_an_image_that_breaks_the_contract_is_refused(
    job: SandboxJob, tmp_path: Path, line: str, reason: str
) -> None:
    before = job.of("browser")
    own = tmp_path / "Dockerfile"
    own.write_text(f"FROM {job.tagged('browser')}\nUSER 0\n{line}\n")
    image = {"browser": {"source": "dockerfile", "dockerfile": str(own)}}
    said = job.refused(sandbox={**SANDBOX, "images": image})
    assert "sandbox image browser: " in said and reason in said
    assert job.of("browser") == before


def handshake(port: int, password: str) -> int:
    """Speak VNC through noVNC's WebSocket with a password; return the server's verdict (0: in)."""
    connection = socket.create_connection(("127.0.0.1", port), 20)
    key = base64.b64encode(bytes(16)).decode()
    lines = ["GET /websockify HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket"]
    lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
    connection.sendall("\r\n".join([*lines, "Sec-WebSocket-Protocol: binary", "", ""]).encode())
    stream = connection.makefile("rb")
    assert b"101" in stream.readline()
    while stream.readline().strip():
        pass
    buffer = b""

    def receive(count: int) -> bytes:
        nonlocal buffer
        while len(buffer) < count:
            (length,) = struct.unpack("!xB", stream.read(2))
            assert length < 126
            buffer += stream.read(length)
        taken, buffer = buffer[:count], buffer[count:]
        return taken

    def send(data: bytes) -> None:
        connection.sendall(bytes([0x82, 0x80 | len(data)]) + bytes(4) + data)

    with connection, stream:
        send(receive(12))
        assert receive(receive(1)[0]) == b"\2"  # a password and nothing else
        send(b"\2")
        send(answer_to(receive(16), password))
        return int(struct.unpack("!I", receive(4))[0])


def answer_to(challenge: bytes, password: str) -> bytes:
    """VNC's answer to a challenge: DES with the bits of each byte of the password reversed."""
    padded = password.encode().ljust(8, b"\0")[:8]
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in padded).hex()
    providers = ["-provider", "legacy", "-provider", "default"]
    command = ["openssl", "enc", "-des-ecb", "-nopad", *providers, "-K", key]
    return subprocess.run(command, input=challenge, capture_output=True, check=True).stdout
