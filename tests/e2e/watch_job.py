"""A gateway that is a small server in a container, with the names and the labels that the watchdog
knows a gateway by, and somebody who is told: HTTP and SMTP on the host's own loopback."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab import hosts as lab
from operations.gateway import host_secrets
from operations.watch import watchdog
from tests.e2e.harness import until
from tests.operations.hosts import Command, commands
from toolkit import credentials
from toolkit.settings import Settings

PACKAGES = "docker.io apprise curl python3"
SERVER = """
import http.server, pathlib, sys
class Probes(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/eat":
            held = [bytearray(1 << 20) for _ in range(1 << 12)]
        answer = pathlib.Path("/answers" + self.path)
        text = answer.read_text() if answer.exists() else "200 {}"
        code, _, body = text.partition(" ")
        self.send_response(int(code))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", 18789), Probes).serve_forever()
"""
RECEIVER = """
import http.server, pathlib
class Told(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        said = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/root/told", "ab") as file:
            file.write(said + b"\\n")
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8099), Told).serve_forever()
"""
MAIL = """
import asyncore, smtpd
class Mail(smtpd.SMTPServer):
    def process_message(self, peer, sender, recipients, data, **more):
        with open("/root/mail", "ab") as file:
            file.write(data)
Mail(("127.0.0.1", 2525), None)
asyncore.loop()
"""
IMAGE = r"""set -e
command -v dockerd apprise >/dev/null || {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends %s >/dev/null
}
rm -rf /root/image && mkdir /root/image && cd /root/image
cp --parents -L $(ldd /usr/bin/python3 | grep -o '/[^ ]*') .
cp --parents -L /usr/bin/python3 . && cp --parents -rL /usr/lib/python3.11 .
tar -c . | docker import - stand-in >/dev/null
mkdir -p /opt/openclaw/run /opt/openclaw/answers /var/lib/openclaw/config
: >/opt/openclaw/docker-compose.yml
docker rm -f openclaw-openclaw-gateway-1 >/dev/null 2>&1 || :
docker run -d --pull never --name openclaw-openclaw-gateway-1 --restart unless-stopped \
  --memory 64m --memory-swap 64m \
  --label com.docker.compose.project=openclaw --label com.docker.compose.service=openclaw-gateway \
  --label com.docker.compose.oneoff=False --label openclaw-pyinfra.project=stand-in \
  -p 127.0.0.1:18789:18789 -v /opt/openclaw:/opt/openclaw -v /opt/openclaw/answers:/answers \
  stand-in /usr/bin/python3 /opt/openclaw/server.py >/dev/null
for unit in told mail; do
  systemctl is-active -q stand-in-$unit ||
    systemd-run -q --unit stand-in-$unit python3 /root/$unit.py
done
"""
ADDRESSES = (
    "json://127.0.0.1:8099/\nmailto://127.0.0.1:2525/?from=claw@example.org&to=me@example.org"
)


class Job:
    """A host that watches a stand-in."""

    def __init__(self, name: str) -> None:
        self.name = name
        for path, text in (
            ("/opt/openclaw/server.py", SERVER),
            ("/root/told.py", RECEIVER),
            ("/root/mail.py", MAIL),
        ):
            self.sh(f"mkdir -p {path.rpartition('/')[0]} && cat >{path} <<'END'\n{text}END")
        self.sh(IMAGE % PACKAGES)

    def sh(self, command: str, expect: int | None = 0) -> str:
        done = lab.ssh(self.name, command)
        assert expect is None or done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def watch(
        self, monkeypatch: pytest.MonkeyPatch, addresses: str = ADDRESSES, **watch: Any
    ) -> str:
        """Have the host watch, as `up` does; what it said if that failed."""
        nothing: Any = host_secrets.Private(None, None, {})
        monkeypatch.setattr(host_secrets, "read", lambda _: nothing)
        monkeypatch.setenv("CLAWTEST_NOTIFY", addresses)
        credentials.read.cache_clear()
        settings = Settings.model_validate(
            {
                "sandbox": {"socket": "socket"},
                "gateway": {"ready_timeout": 20},
                "watch": {
                    "watchdog": True,
                    "notify": {"address": {"env": "CLAWTEST_NOTIFY"}},
                    **watch,
                },
            }
        )
        (command,) = self.commands(settings)
        done = lab.ssh(self.name, "sh -s", stdin=command.stdin)
        return done.stdout + done.stderr if done.returncode else ""

    @staticmethod
    def commands(settings: Settings) -> list[Command]:
        return commands(watchdog.configured, {"watch": "systemd\n"}, settings=settings)

    def told(self) -> list[str]:
        """What somebody was told by HTTP since this was asked last."""
        lines = self.sh("cat /root/told 2>/dev/null; : >/root/told").splitlines()
        return [f"{(one := json.loads(line))['title']}: {one['message']}" for line in lines]

    def await_told(self, what: str, seconds: float = 300) -> str:
        """Wait until somebody is told, once; return the message."""
        found: list[str] = []

        def heard() -> bool:
            found.extend(self.told())
            return any(what in one for one in found)

        until(heard, seconds, f"{what!r} is told")
        (told,) = (one for one in found if what in one)
        return told

    def answer(self, probe: str, text: str) -> None:
        """Have the stand-in answer so from now on; '': as when it is well."""
        path = f"/opt/openclaw/answers/{probe}"
        self.sh(f"printf '%s' '{text}' >{path}" if text else f"rm -f {path}")

    def state(self) -> str:
        return self.sh(
            "sed -n 's/^before=//p' /run/openclaw-pyinfra/openclaw.watch/gateway 2>/dev/null"
        ).strip()

    def started(self) -> str:
        return self.sh(
            "docker inspect -f '{{.State.StartedAt}}' openclaw-openclaw-gateway-1"
        ).strip()
