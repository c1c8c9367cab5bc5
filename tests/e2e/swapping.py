"""What tests of a swap do to a gateway: give it another image, and see what runs."""

from __future__ import annotations

from typing import Any

from tests.e2e.harness import Deployment

BROKEN = """\
FROM {image}
USER root
RUN printf '%s\\n' '#!/bin/sh' \\
  'case $1 in gateway) ;; *) exec node /app/openclaw.mjs "$@" ;; esac' \\
  'echo migrated >/home/node/.openclaw/state/canary; rm -rf /home/node/.openclaw/media' \\
  'echo "cannot migrate; the token is $OPENCLAW_GATEWAY_TOKEN" >&2; exit 78' >/tmp/broken && \\
  rm -f /usr/local/bin/openclaw && install -m 755 /tmp/broken /usr/local/bin/openclaw
USER node
"""


def running(gateway: Deployment) -> tuple[str, str]:
    state = gateway.container()
    assert state["State"]["Running"]
    return state["Id"], state["State"]["StartedAt"]


def up(gateway: Deployment, **options: Any) -> list[str]:
    """Run `./claw up` and return the operations that changed something."""
    result = gateway.claw("up", "--json", **options)
    (host,) = result.json["hosts"].values()
    return list(host["changed"])


def build(gateway: Deployment, dockerfile: str, tag: str) -> str:
    """Build on top of the gateway's image; the name of the result, which its fixture takes away."""
    name = f"{gateway.name}-tests:{tag}"
    text = dockerfile.format(image=f"{gateway.name}:local")
    gateway.sh(f"docker build -q -t {name} - <<'END'\n{text}END")
    return name


def retag(gateway: Deployment, source: str) -> None:
    gateway.sh(f"docker tag {source} {gateway.name}:local")


def image(gateway: Deployment, tag: str) -> str:
    return gateway.sh(f"docker image inspect -f '{{{{.Id}}}}' {tag}").strip()


def plant(gateway: Deployment) -> str:
    """A file in the state directory, as a database that an upgrade migrates would be; its path."""
    path = f"/var/lib/{gateway.name}/config/state/canary"
    gateway.sh(f"echo original >{path} && chown {gateway.owner} {path}")
    return path
