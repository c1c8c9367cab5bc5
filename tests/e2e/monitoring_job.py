"""Hosts with metrics and a stand-in for what they are of: no engine and no OpenClaw, but a `docker`
that says what files say, and a server that answers as a gateway does. What watches is real."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from operations.gateway import network
from operations.watch import metrics
from tests.e2e.harness import Deployment, Result
from toolkit.settings import Settings

DOMAIN = "claw.example.org"
DEPLOY = """
from pyinfra import config, host

from operations.base import preflight, snapshot
from operations.images import listing
from operations.watch import metrics, stage

settings = preflight.run([metrics.problems])
config.SUDO = snapshot.needs_sudo(host)
stage.watch(settings=settings)
"""
ENGINE = r"""#!/bin/sh
here=/srv/stand-in
state=$(cat $here/state)
case "$*" in
  *openclaw.sandbox*) cat $here/sandboxes 2>/dev/null ;;
  ps\ -q*) [ "$state" != running ] || echo 0123456789ab ;;
  ps\ *) echo 0123456789ab ;;
  "image inspect"*org.opencontainers*) echo version=2026.9.6; echo digests=[]; echo inputs= ;;
  "image inspect"*) printf 'sha256:%064d\n' 1 ;;
  inspect*State.Status*) echo "$state" ;;
  inspect*RestartCount*) cat $here/restarts ;;
  inspect*StartedAt*) echo 2026-11-30T06:00:00Z ;;
  inspect*State.Pid*) systemctl show --value -p MainPID stand-in ;;
  inspect*openclaw-pyinfra.project*) echo the-label ;;
  inspect*.Image*) printf 'sha256:%064d\n' 1 ;;
  inspect*Ports*) echo '{}' ;;
  version*) echo 28.0.1 ;;
esac
"""
SERVER = r"""
import http.server, os, ssl, sys, threading
held = []
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/hold": held.append(os.urandom(1) * (80 << 20))
        if self.path == "/free": held.clear()
        ready = self.path != "/readyz" or os.path.exists("/srv/stand-in/ready")
        self.send_response(200 if ready else 503); self.end_headers()
    def log_message(self, *_): pass
def serve(port, tls):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("/srv/stand-in/first.crt", "/srv/stand-in/key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
threading.Thread(target=serve, args=(443, True)).start()
serve(18789, False)
"""
CERTIFICATES = f"/var/lib/caddy/.local/share/caddy/certificates/x/{DOMAIN}"
MAKE = rf"""
mkdir -p /srv/stand-in /opt/openclaw/backup /var/lib/openclaw/backup {CERTIFICATES}
cd /srv/stand-in
printf '%s' {shlex.quote(ENGINE)} >/usr/local/bin/docker; chmod 755 /usr/local/bin/docker
printf '%s' {shlex.quote(SERVER)} >server.py
echo running >state; echo 0 >restarts; touch ready /opt/openclaw/backup/backup.sh
printf '    openclaw-pyinfra.project: "the-label"\n' >/opt/openclaw/docker-compose.yml
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out first.crt \
  -days 90 -subj /CN={DOMAIN} 2>/dev/null
openssl req -x509 -key key -out short.crt -days 5 -subj /CN={DOMAIN}
cp first.crt {CERTIFICATES}/{DOMAIN}.crt
systemd-run -q --unit stand-in -p MemoryMax=100M -p MemoryAccounting=yes \
  python3 /srv/stand-in/server.py
"""


class Job:
    """`./claw up` with `watch:` alone, on one host."""

    def __init__(self, deployment: Deployment, directory: Path) -> None:
        self.deployment, self.directory = deployment, directory
        backup = {"repository": "/srv/repository", "password": {"env": "NONE"}, "drill": "weekly"}
        self.settings: dict[str, Any] = {
            "exposure": {"https": {"domain": DOMAIN}},
            "backup": backup,
        }

    def make(self) -> None:
        """Make the stand-in, and the notes of a backup and a deploy that went well."""
        self.sh(MAKE)
        settings = Settings.model_validate(self.settings)
        table = network.applied(settings)
        self.sh(f"mkdir -p {Path(table.state).parent}; : | sha256sum >{table.state}")
        for kind in ("backup", "drill"):
            unit = f"/etc/systemd/system/openclaw-{kind}"
            self.sh(f"printf '[Timer]\\nOnCalendar=yearly\\n' >{unit}.timer")
            self.sh(f"printf '[Service]\\nExecStart=true\\n' >{unit}.service")
            self.sh(f"systemctl daemon-reload; systemctl start openclaw-{kind}.timer")
        for name in ("last", "drilled"):
            self.note(name, "now", "ok 0123abcd")
        self.deployed("done")

    def note(self, name: str, when: str, what: str) -> None:
        moment = f"$(date -u -d {shlex.quote(when)} +%Y-%m-%dT%H:%M:%SZ)"
        self.sh(f'echo "{moment} {what}" >/var/lib/openclaw/backup/{name}')

    def deployed(self, result: str) -> None:
        line = f'{{"time": "2026-11-30T06:00:00Z", "result": "{result}", "changed": 1}}'
        self.sh(f"echo {shlex.quote(line)} >>/var/log/openclaw-deploy.log")

    def up(self, expect: int = 0, **watch: Any) -> Result:
        file = self.directory / "deploy.py"
        file.write_text(DEPLOY)
        words = ("--deploy", str(file), "-y")
        settings = {**self.settings, "watch": watch}
        env = {"NONE": "nothing"}
        return self.deployment.claw("up", *words, settings=settings, expect=expect, env=env)

    def sh(self, command: str) -> str:
        return self.deployment.sh(command).strip()

    def metrics(self) -> str:
        """What is in the textfile after it was written anew."""
        self.sh("systemctl start openclaw-metrics.service")
        return self.sh(f"cat {metrics.DIRECTORY}/openclaw.prom")
