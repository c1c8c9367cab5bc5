"""What a deployed host consists of, read from it, for other tools to describe the same.

What the toolkit checks beside it and the others are spared: sudo, the Debian mirror, interrupted
runs, the directories whose owner has no name, `.env` and openclaw.json key by key, the container's
limits and privileges, sandboxes and their networks, AppArmor, the inputs of images.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import doors
from lab import hosts as lab

NAME = "openclaw"
PACKAGES = {
    "the toolkit's": ("ca-certificates", "curl", "nftables", "iproute2", "perl"),
    "the engine's": ("docker.io", "docker-cli", "docker-compose", "docker-buildx"),
}
DIRECTORIES = (
    f"/opt/{NAME}",
    f"/opt/{NAME}/run",
    f"/opt/{NAME}/security",
    f"/var/lib/{NAME}",
)
FILES = (
    "/etc/docker/daemon.json",
    "/etc/apt/sources.list.d/openclaw-trixie.sources",
    "/etc/apt/preferences.d/openclaw-trixie",
    f"/etc/openclaw-pyinfra/{NAME}.nft",
    f"/etc/systemd/system/{NAME}-closed.service",
    f"/etc/systemd/system/{NAME}-closed.timer",
    f"/opt/{NAME}/docker-compose.yml",
    f"/opt/{NAME}/.env",
    f"/opt/{NAME}/security/*.json",
)
READS = {
    "the distribution": "cat /etc/os-release",
    "the memory": "cat /proc/meminfo",
    "the disks": f"df -PkT /opt/{NAME} /var/lib/{NAME} /var/lib/docker",
    "the listening ports": "cat /proc/net/tcp /proc/net/tcp6",
    "the clock": "date +%s",
    "the versions of the engine": "docker version",
    "superseded images": f"docker image ls --filter label=openclaw-pyinfra.deployment={NAME}",
}
"""What the preflight judges; a run of another tool reads it, and leaves the judgement out."""


def read(host: lab.Host, directory: Path) -> dict[str, Any]:
    """Return the resources of a host; its files are copied to the directory, which is private."""
    packages = {}
    for whose, names in PACKAGES.items():
        ask = f"dpkg-query -W -f '${{db:Status-Status}} ${{Package}}\\n' {' '.join(names)} || true"
        found = [line.split() for line in doors.run(host, ask).splitlines()]
        packages[whose] = [name for status, name in found if status == "installed"]
    container = doors.run(host, "docker ps --format '{{.Names}}'").split()[0]
    networks = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}"
    network = doors.run(host, f"docker inspect --format '{networks}' {container}").strip()
    resources: dict[str, Any] = {
        "packages": packages,
        "directories": _entries(host, DIRECTORIES),
        "files": _entries(host, FILES),
        "reads": READS,
        "services": ["docker", f"{NAME}-closed.timer"],
        "image": f"{NAME}:local",
        "network": network,
        "project": f"/opt/{NAME}",
        "container": container,
        "configuration": f"/var/lib/{NAME}/config/openclaw.json",
        "url": "http://127.0.0.1:18789/readyz",
        "rule_check": f"nft list table inet openclaw-{NAME}",
        "rule_insert": f"nft -f /etc/openclaw-pyinfra/{NAME}.nft",
    }
    for number, file in enumerate(resources["files"]):
        file["source"] = str(directory / f"{number}-{Path(file['path']).name}")
        Path(file["source"]).write_text(doors.run(host, f"cat {file['path']}"))
    (directory / "resources.json").write_text(json.dumps(resources, indent=1))
    return resources


def count(resources: dict[str, Any]) -> int:
    """Return how many things that are; what is not listed is there once."""
    single = ("rule_check", "image", "network", "container", "configuration", "url")
    return sum(
        len(resources[kind]) for kind in ("packages", "directories", "files", "services", "reads")
    ) + len(single)


def _entries(host: lab.Host, paths: tuple[str, ...]) -> list[dict[str, str]]:
    found = doors.run(host, f"stat -c '%n %a %U %G' {' '.join(paths)} 2>/dev/null || true")
    keys = ("path", "mode", "user", "group")
    return [dict(zip(keys, line.split(), strict=True)) for line in found.splitlines()]
