"""What an end-to-end test has in hand: a deployment, and `./claw` as a person runs it."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from lab import hosts as lab
from lab import seed
from lab.stand_ins import STAND_INS
from operations.distributions import IMAGE_SUITE
from operations.gateway import network
from operations.security import apparmor
from tests.e2e import removal
from toolkit.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "artifacts" / "e2e"
log = logging.getLogger("lab")
_numbers = count(1)

FINGERPRINT = """
find / /tmp /run/lock -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run/systemd \\
  -o -path '/tmp/runc-process*' -o -path /var/log -o -path /var/lib/{name}/config \\
  -o -path /var/lib/systemd -o -path '/var/cache/apt/*pkgcache.bin' \\) -prune \\
  -o -type d -printf '%p %y %m %U:%G\\n' -o -printf '%p %y %s %m %U:%G %C@\\n'
sha256sum /var/lib/{name}/config/openclaw.json 2>/dev/null
dpkg-query -W
systemctl list-units --type=service --state=running --plain --no-legend | cut -d' ' -f1
for kind in container image network volume; do
  docker $kind ls -q --no-trunc $([ $kind = container ] && echo -a) 2>/dev/null | sed "s/^/$kind /"
done
"""


@dataclass(frozen=True)
class Result:
    """A finished command. `output` is all it said, in the order standard output, standard error."""

    argv: list[str]
    returncode: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


class Process:
    """A `./claw` that is still running; its output grows in `log`."""

    def __init__(
        self, argv: list[str], environment: Mapping[str, str], stdin: str | None = None
    ) -> None:
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        stem = f"{os.getpid()}-{next(_numbers):03d}-{argv[1] if len(argv) > 1 else 'claw'}"
        self.argv, self.started = argv, time.monotonic()
        self.out, self.log = ARTIFACTS / f"{stem}.out", ARTIFACTS / f"{stem}.log"
        with self.out.open("w") as out, self.log.open("w") as log:
            self.popen = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        if stdin is not None and self.popen.stdin:
            self.popen.stdin.write(stdin)
            self.popen.stdin.close()

    def __str__(self) -> str:
        return shlex.join(self.argv)

    def output(self) -> str:
        return self.out.read_text(errors="replace") + self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, seconds: float = 600) -> None:
        """Until its output matches; an error if it ends or time runs out first."""

        def seen() -> bool:
            ended = self.popen.poll() is not None
            if re.search(pattern, self.output()):
                return True
            assert not ended, f"{self} ended without {pattern!r}:\n{self.output()[-3000:]}"
            return False

        until(seen, seconds, f"{pattern!r} in the output of {self}")

    def interrupt(self) -> None:
        """Ctrl-C, as a terminal sends it: to the whole process group."""
        os.killpg(self.popen.pid, signal.SIGINT)

    def kill(self) -> None:
        """Power cut: the whole process group, with no chance to clean up."""
        os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def finish(self, timeout: float = 2400) -> Result:
        code, said = None, ""
        while code is None:
            try:
                code = self.popen.wait(3)
            except subprocess.TimeoutExpired:
                if time.monotonic() - self.started > timeout:
                    self.kill()
                    tail = self.output()[-3000:]
                    raise AssertionError(f"{self} still ran after {timeout} s:\n{tail}") from None
                *_, last = ["", *self.log.read_text(errors="replace").split("\n")[:-1]]
                if last.strip() not in ("", said):
                    said = last.strip()
                    log.info("./claw %s: %s", " ".join(self.argv[1:2]), said)
        seconds = time.monotonic() - self.started
        stdout, stderr = (path.read_text(errors="replace") for path in (self.out, self.log))
        return Result(self.argv, code, stdout, stderr, seconds)


def start_claw(
    *args: str, env: Mapping[str, str | None] | None = None, stdin: str | None = None
) -> Process:
    """Start `./claw ARGS` in the repository; a variable that is None in `env` is taken away.

    `up` is told not to ask for leave: nobody is there to answer.
    """
    ours = ("PYTEST", "OPENCLAW_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    environment.setdefault("XDG_STATE_HOME", str(ARTIFACTS / "state"))
    if args[:1] == ("up",) and "--dry" not in args:
        args = (*args, "-y")
    for key, value in (env or {}).items():
        environment.pop(key, None) if value is None else environment.update({key: value})
    return Process(["./claw", *args], environment, stdin)


def claw(
    *args: str,
    expect: int | None = 0,
    env: Mapping[str, str | None] | None = None,
    stdin: str | None = None,
    timeout: float = 2400,
) -> Result:
    """Run `./claw ARGS`; `expect` is the exit code, None for any."""
    result = start_claw(*args, env=env, stdin=stdin).finish(timeout)
    if expect is not None:
        shown = f"{shlex.join(result.argv)} exited {result.returncode}, not {expect}"
        said = f"{result.stdout[-4000:]}\n{result.stderr[-6000:]}"
        assert result.returncode == expect, f"{shown}\n{said}"
    return result


@dataclass
class Deployment:
    """One gateway on one host; `host` None is this machine with the private engine."""

    host: lab.Host | None
    inventory: Path
    user: str = "root"
    settings: dict[str, Any] = field(default_factory=dict)
    first: Result | None = None
    """The run that made it, for the deployments that the session shares."""
    kept: bool = False
    """Whether it was there before that run (`--keep-lab`)."""

    @property
    def name(self) -> str:
        return str(self.settings.get("name", "openclaw"))

    @property
    def vps(self) -> lab.Host:
        """The lab host, for a deployment that is on one."""
        assert self.host
        return self.host

    @property
    def port(self) -> int:
        return int(self.settings.get("gateway", {}).get("port", 18789))

    def claw(self, verb: str, *args: str, **options: Any) -> Result:
        """`./claw VERB INVENTORY ARGS`, see `claw`; `settings=` are for this run alone."""
        self._write_inventory(options.pop("settings", {}))
        return claw(*verb.split(), str(self.inventory), *args, **options)

    def start(self, verb: str, *args: str, **options: Any) -> Process:
        """As `claw`, without waiting for the end."""
        self._write_inventory(options.pop("settings", {}))
        return start_claw(verb, str(self.inventory), *args, **options)

    def sh(self, command: str, expect: int | None = 0) -> str:
        """Run a shell command on the host as root; its standard output."""
        if self.host:
            done = lab.ssh(self.host.name, command)
        else:
            env = {**os.environ, "DOCKER_HOST": f"unix://{lab.SOCKET}"}
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=env)
        said = f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert expect is None or done.returncode == expect, said
        return done.stdout

    def container(self, service: str = "openclaw-gateway") -> dict[str, Any]:
        """`docker inspect` of a service's container."""
        label = "--filter label=com.docker.compose"
        filters = f"{label}.project={self.name} {label}.service={service}"
        return dict(json.loads(self.sh(f"docker inspect $(docker ps -aq {filters})"))[0])

    def sandboxes(self) -> list[dict[str, Any]]:
        """`docker inspect` of every sandbox that mounts something of this deployment's state."""
        ids = self.sh("docker ps -aq --filter label=openclaw.sandbox=1").split()
        found = json.loads(self.sh(f"docker inspect {' '.join(ids)}")) if ids else []
        state = f"/var/lib/{self.name}/"
        return [one for one in found if any(state in mount["Source"] for mount in one["Mounts"])]

    def token(self) -> str:
        """The gateway's token as the host has it."""
        found = self.sh(f"sed -n 's/^OPENCLAW_GATEWAY_TOKEN=//p' /opt/{self.name}/.env")
        return found.strip().strip("'\"")

    def in_gateway(self, command: str) -> str:
        """Run a shell command in the gateway's container; its standard output."""
        return self.sh(f"docker exec {self.container()['Id']} sh -c {shlex.quote(command)}")

    @property
    def owner(self) -> str:
        """`uid:gid` of the container's user on the host, as the state has it."""
        return self.sh(f"stat -c %u:%g /var/lib/{self.name}/config").strip()

    def http(self, path: str = "/readyz") -> int:
        """Status of a GET on the published port, asked on the host; 0 when nobody answers."""
        url = f"http://127.0.0.1:{self.port}{path}"
        return int(self.sh(f"curl -s -o /dev/null -m 10 -w '%{{http_code}}' {url}", None) or 0)

    def fingerprint(self) -> set[str]:
        """What is on a lab host: every file with its time of change, packages, running services,
        containers, images. Left out is what changes by itself: logs, what a health check has in
        /tmp while it runs, what apt keeps of the lists it has read, and the state that a running
        gateway writes, but for openclaw.json.
        """
        assert self.vps
        return set(self.sh(FINGERPRINT.format(name=self.name)).splitlines())

    def remove(self) -> None:
        """Take away all a deployment on this machine has left; lab hosts are thrown away whole."""
        assert not self.host and self.name.startswith("clawtest-")
        removal.from_engine(self.name, [one["Id"] for one in self.sandboxes()])
        browsing = {"enabled": True, "browser": {"enabled": True}}
        settings = Settings.model_validate({"name": self.name, "sandbox": browsing})
        table = network.table(settings)
        self.sh(f"nft delete table inet {table}; rm -f /run/{table}.*", expect=None)
        self.sh(f"rm -f {network.RULES}/{self.name}.nft")
        profiles = apparmor.path(settings)
        self.sh(f"[ ! -e {profiles} ] || {{ apparmor_parser --remove {profiles}; rm {profiles}; }}")
        self.sh(f"rm -rf /opt/{self.name} /var/lib/{self.name}")

    def _write_inventory(self, more: dict[str, Any]) -> None:
        data = merged(self.settings, more)
        if self.host:
            data = lacking(self.host) | data | lab.connection(self.host.ip, self.user)
            target = self.host.name
        else:
            target = "@local"
        self.inventory.write_text(f"hosts = [({target!r}, {data!r})]\n")


def lacking(host: lab.Host) -> dict[str, Any]:
    """The settings that a lab host needs beyond a bare Debian: no Ubuntu has Debian's packages."""
    return {"debian_mirrors": seed.debian_mirrors(IMAGE_SUITE)} if host.suite in STAND_INS else {}


def lacking_set(host: lab.Host) -> list[str]:
    """These as options of `up`, for a host that no inventory describes."""
    settings = lacking(host).items()
    return [word for key, value in settings for word in ("--set", f"{key}={json.dumps(value)}")]


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `more` over it, section by section."""
    result = {**base, **more}
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            result[key] = merged(base[key], value)
    return result


def until(condition: Callable[[], object], seconds: float, what: str, pause: float = 0.1) -> None:
    """Wait for a condition, with a bound; `pause`: seconds between looks that cost something."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def tunnel(deployment: Deployment) -> Iterator[int]:
    """An SSH tunnel as the summary tells the user to make it: the same port here, on loopback."""
    assert deployment.host
    forward = f"127.0.0.1:{deployment.port}:127.0.0.1:{deployment.port}"
    options = ["-F", str(lab.SSH_DIR / "config"), "-o", "ExitOnForwardFailure=yes", "-l", "root"]
    argv = ["ssh", *options, "-N", "-L", forward, deployment.host.name]
    ssh = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        until(lambda: _listens(deployment.port) or ssh.poll() is not None, 180, "the SSH tunnel")
        assert ssh.poll() is None, "the SSH tunnel ended at once; is the port taken?"
        yield deployment.port
    finally:
        ssh.terminate()
        ssh.wait()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
