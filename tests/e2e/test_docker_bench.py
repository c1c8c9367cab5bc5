"""The items of the CIS Docker Benchmark that docker-bench-security asks of a host's files, its
daemon, images and containers, asked here of a deployed host. What is left is in docs/security.md.

docker-bench-security itself is not packaged by Debian. Numbers are of the benchmark, 1.6.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.harness import Deployment

pytestmark = [pytest.mark.engine, pytest.mark.long]

Item = Callable[[dict[str, Any]], bool]
FILES = {
    "3.1-3.2 docker.service": ("/lib/systemd/system/docker.service", "644", "root:root"),
    "3.3-3.4 docker.socket": ("/lib/systemd/system/docker.socket", "644", "root:root"),
    "3.5-3.6 /etc/docker": ("/etc/docker", "755", "root:root"),
    "3.15-3.16 the engine's socket": ("/run/docker.sock", "660", "root:docker"),
    "3.17-3.18 daemon.json": ("/etc/docker/daemon.json", "644", "root:root"),
    "3.23-3.24 containerd's socket": ("/run/containerd/containerd.sock", "660", "root:root"),
}
DAEMON: dict[str, Item] = {
    "2.2 traffic between containers": lambda it: it["bridge"]["icc"] == "false",
    "2.3 log level": lambda it: it["daemon"].get("log-level", "info") == "info",
    "2.4 iptables": lambda it: it["daemon"].get("iptables", True),
    "2.5 no insecure registries": lambda it: not it["daemon"].get("insecure-registries"),
    "2.6 not aufs": lambda it: it["info"]["Driver"] != "aufs",
    "2.7 TLS, or no TCP": lambda it: "tcp://" not in it["command"] and "hosts" not in it["daemon"],
    "2.9 user namespaces": lambda it: any("userns" in one for one in it["info"]["SecurityOptions"]),
    "2.14 live restore": lambda it: it["info"]["LiveRestoreEnabled"],
    "2.15 no userland proxy": lambda it: it["daemon"].get("userland-proxy") is False,
    "2.16 seccomp": lambda it: any("seccomp" in one for one in it["info"]["SecurityOptions"]),
    "2.17 not experimental": lambda it: not it["info"]["ExperimentalBuild"],
    "2.18 no new privileges, everywhere": lambda it: it["daemon"].get("no-new-privileges", False),
}
SENSITIVE = {"/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr"}
CONTAINER: dict[str, Item] = {
    "4.1 a user of its own": lambda it: it["Config"]["User"] not in ("", "root", "0", "0:0"),
    "4.6 a health check": lambda it: bool(it["Config"].get("Healthcheck")),
    "5.3 SELinux, AppArmor": lambda it: bool(it["AppArmorProfile"]),
    "5.4 capabilities": lambda it: host(it)["CapDrop"] == ["ALL"] and not host(it)["CapAdd"],
    "5.5 not privileged": lambda it: not host(it)["Privileged"],
    "5.6 no sensitive directories": lambda it: not SENSITIVE & {m["Source"] for m in it["Mounts"]},
    "5.8 no privileged ports": lambda it: all(port >= 1024 for port in published(it)),
    "5.9 only ports that are needed": lambda it: list(published(it)) == [18789],
    "5.10 not the host's network": lambda it: host(it)["NetworkMode"] != "host",
    "5.11 memory": lambda it: host(it)["Memory"] > 0,
    "5.12 CPU": lambda it: host(it)["CpuShares"] > 0 or host(it)["NanoCpus"] > 0,
    "5.13 root is read-only": lambda it: host(it)["ReadonlyRootfs"],
    "5.14 one interface": lambda it: "0.0.0.0" not in str(it["NetworkSettings"]["Ports"]),
    "5.15 restarts end": lambda it: host(it)["RestartPolicy"]["Name"] == "on-failure",
    "5.16 not the host's processes": lambda it: host(it)["PidMode"] != "host",
    "5.17 not the host's IPC": lambda it: host(it)["IpcMode"] != "host",
    "5.18 no devices": lambda it: not host(it)["Devices"],
    "5.20 mounts are not shared": lambda it: all(
        m["Propagation"] != "shared" for m in it["Mounts"]
    ),
    "5.21 not the host's name": lambda it: host(it)["UTSMode"] != "host",
    "5.22 seccomp": lambda it: "seccomp=unconfined" not in str(host(it)["SecurityOpt"]),
    "5.25 cgroup": lambda it: not host(it)["CgroupParent"],
    "5.26 no new privileges": lambda it: "no-new-privileges" in str(host(it)["SecurityOpt"]),
    "5.29 PIDs": lambda it: (host(it)["PidsLimit"] or 0) > 0,
    "5.30 not docker0": lambda it: host(it)["NetworkMode"] not in ("bridge", "default"),
    "5.31 not the host's users": lambda it: host(it)["UsernsMode"] != "host",
    "5.32 no socket of the engine": lambda it: "docker.sock" not in str(it["Mounts"]),
}
LEFT = {
    "2.2 traffic between containers",
    "2.9 user namespaces",
    "2.15 no userland proxy",
    "2.18 no new privileges, everywhere",
    "5.3 SELinux, AppArmor",
    "5.12 CPU",
    "5.15 restarts end",
}
"""What docs/security.md says is not so, and why; AppArmor is not in a lab host's kernel."""


def host(it: dict[str, Any]) -> dict[str, Any]:
    return dict(it["HostConfig"])


def published(it: dict[str, Any]) -> Iterator[int]:
    for bindings in it["NetworkSettings"]["Ports"].values():
        yield from (int(one["HostPort"]) for one in bindings or [])


def test_what_the_benchmark_asks_is_so_but_for_what_is_written_down(deployed: Deployment) -> None:
    one = deployed
    wrong = set()
    for item, (path, mode, owner) in FILES.items():
        said = one.sh(f"stat -Lc '%a %U:%G' {path} 2>/dev/null || echo absent").strip()
        if said != "absent" and (int(said.split()[0], 8) & ~int(mode, 8) or owner not in said):
            wrong.add(f"{item}: {said}")
    daemon = {
        "info": json.loads(one.sh("docker info --format '{{json .}}'")),
        "daemon": json.loads(one.sh("cat /etc/docker/daemon.json 2>/dev/null || echo '{}'")),
        "command": one.sh("tr '\\0' ' ' </proc/$(cat /var/run/docker.pid)/cmdline"),
        "bridge": {
            "icc": one.sh(
                "docker network inspect bridge --format"
                " '{{index .Options \"com.docker.network.bridge.enable_icc\"}}'"
            ).strip()
        },
    }
    wrong |= {item for item, holds in DAEMON.items() if not holds(daemon)}
    gateway = one.container()
    wrong |= {item for item, holds in CONTAINER.items() if not holds(gateway)}
    assert wrong == LEFT
