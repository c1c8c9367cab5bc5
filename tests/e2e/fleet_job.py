"""Several hosts with an engine, and on them the images stage alone, as `./claw up` runs it.

The image is small: it comes from a git repository on the hosts, as `gateway.source: git` does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab import hosts as lab
from tests.e2e.harness import ROOT

DEPLOY = """
from pyinfra import config, host

from operations.images import stage as images
from operations.base import preflight, snapshot

settings = preflight.run()
config.SUDO = snapshot.needs_sudo(host)
images.build(settings)
images.prune(settings)
"""
REPOSITORY = """set -e
mkdir -p {path} && cd {path} && [ -d .git ] || git init -q -b main
[ -e large ] || head -c 3000000 /dev/urandom >large
echo {content} >small
printf 'FROM scratch\\nARG GIT_COMMIT\\nCOPY large /\\n{step}COPY small /\\n' >Dockerfile
git add . && git -c user.email=lab@invalid -c user.name=lab commit -q --allow-empty -m change
git rev-parse HEAD
"""


@dataclass
class Machine:
    """One host: how pyinfra reaches it, and `sh(command, expect)`, which runs there as root."""

    name: str
    sh: Callable[..., str]
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """What a run said of every host."""

    hosts: dict[str, dict[str, Any]]
    said: str
    error: str | None = None

    def planned(self, name: str) -> list[str]:
        return [one.partition(" | ")[2] for one in self.hosts[name]["planned"]]

    def changed(self, name: str) -> list[str]:
        done = self.hosts[name]["operations"]
        return [one["name"].partition(" | ")[2] for one in done if one["changed"]]

    def failed(self, name: str) -> str:
        """What a host said that failed, '' of one that did not."""
        found = self.hosts[name]
        return "\n".join(found["output"]) if found["failed"] else ""


class Fleet:
    """A deployment's image on several hosts."""

    def __init__(self, directory: Path, name: str, machines: list[Machine]) -> None:
        self.directory, self.name, self.machines = directory, name, machines
        self.repository, self.tag = f"/srv/{name}", f"{name}:local"
        (directory / "deploy.py").write_text(DEPLOY)

    def commit(self, machine: Machine, content: str, step: str = "") -> str:
        """Make a commit in the repository on a host; `step` is a further line of its Dockerfile."""
        line = f"{step}\\n" if step else ""
        script = REPOSITORY.format(path=self.repository, content=content, step=line)
        return machine.sh(script).split()[-1]

    def start(self, *args: str, ref: str, **settings: Any) -> subprocess.Popen[str]:
        own = {
            "name": self.name,
            "directories": {"project": f"/opt/{self.name}"},
            # No gateway is started, but its port has to be free, beside one that runs there.
            "gateway": {"source": "git", "repository": self.repository, "ref": ref, "port": 18999},
            **settings,
        }
        hosts = [(machine.name, {**machine.data, **own}) for machine in self.machines]
        inventory = self.directory / "inventory.py"
        inventory.write_text(f"hosts = {hosts!r}\n")
        command = [sys.executable, str(Path(__file__)), str(self.directory / "deploy.py")]
        return subprocess.Popen(
            [*command, str(inventory), *args],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str, ref: str, **settings: Any) -> Outcome:
        said, _ = self.start(*args, ref=ref, **settings).communicate(timeout=1200)
        text, _, document = said.strip().rpartition("\n")
        assert document.startswith("{"), said
        outcome = Outcome(said=text, **json.loads(document))
        assert not outcome.error, said
        return outcome

    def image(self, machine: Machine) -> str:
        """The id of a host's image, '' if it has none."""
        return machine.sh(f"docker image inspect -f '{{{{.Id}}}}' {self.tag}", None).strip()

    def left(self, machine: Machine) -> str:
        """What the giving of an image has left in the directories of a host."""
        return machine.sh(f"ls -d /opt/{self.name}/images/give.* 2>/dev/null", None).strip()

    def remove(self) -> None:
        own = f"--filter label=openclaw-pyinfra.deployment={self.name}"
        images = f"docker image ls -q {own} | sort -u | xargs -r docker image rm -f"
        for machine in self.machines:
            machine.sh(f"{images}; rm -rf {self.repository} /opt/{self.name}", None)


def remote(host: lab.Host, user: str) -> Machine:
    """A lab host, reached over SSH as `user`."""

    def sh(command: str, expect: int | None = 0) -> str:
        done = lab.ssh(host.name, command)
        assert expect is None or done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    return Machine(host.name, sh, lab.connection(host.ip, user))


def local() -> Machine:
    """This machine and the private engine."""

    def sh(command: str, expect: int | None = 0) -> str:
        env = {**os.environ, "DOCKER_HOST": f"unix://{lab.SOCKET}"}
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=env)
        assert expect is None or done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    return Machine("@local", sh, {"engine": {"source": "existing", "socket": str(lab.SOCKET)}})


def main(deploy: str, inventory: str, *flags: str) -> None:
    from rich.console import Console

    from commandline.run.runner import Runner
    from commandline.run.session import Options
    from commandline.screen.display import Display

    display = Display(Console(width=200), verbosity=0)
    result = Runner(Path(deploy), Options(target=inventory), display, dry="--dry" in flags).run()
    hosts = {name: asdict(one) for name, one in result.hosts.items()}
    print(json.dumps({"hosts": hosts, "error": result.error}))


if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()
    main(*sys.argv[1:])
