"""Canaries: a deploy with known secrets, watched from every side."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.harness import ARTIFACTS, ROOT, Deployment, Result

pytestmark = [pytest.mark.engine, pytest.mark.whole]

NAME, PORT = "canary", 18790


@dataclass
class Canaries:
    deployment: Deployment
    values: dict[str, str]
    environment: dict[str, str]
    runs: list[Result] = field(default_factory=list)

    def up(self, *args: str, **options) -> Result:
        with processes_watched(self.values):
            result = self.deployment.claw("up", *args, env=self.environment, **options)
        self.runs.append(result)
        return result


@contextmanager
def processes_watched(values: dict[str, str]) -> Iterator[None]:
    """No process on this machine may have a canary in its arguments; lab hosts are part of it."""
    seen: set[str] = set()
    stop = threading.Event()
    needles = {name: value.encode() for name, value in values.items()}

    def watch() -> None:
        since: dict[str, float] = {}
        for look in count():
            if stop.is_set():
                break
            now = time.monotonic()
            running = {one.name for one in Path("/proc").iterdir() if one.name.isdigit()}
            since = {one: since.get(one, now) for one in running}
            for process in running:
                # Arguments come with the program: what has run for a second is looked at now and
                # then, or this alone would keep a processor busy.
                if now - since[process] > 1 and look % 50:
                    continue
                try:
                    arguments = Path("/proc", process, "cmdline").read_bytes()
                except OSError:
                    continue
                found = [name for name, value in needles.items() if value in arguments]
                seen.update(f"{name} in {arguments[:80]!r}" for name in found)
            stop.wait(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
    assert not seen


@pytest.fixture(scope="module")
def canaries(deployed: Deployment, deployment, tmp_path_factory) -> Iterator[Canaries]:
    """A second gateway on the shared host, with a token from an old .env and three credentials."""
    values = {name: f"canary-{name}-{secrets.token_hex(16)}" for name in ("env", "file", "command")}
    values["token"] = secrets.token_hex(32)
    values["own"] = f"canary-own-{secrets.token_hex(16)}"
    directory = tmp_path_factory.mktemp("canaries")
    for name in ("file", "command"):
        path = directory / name
        path.touch(0o600)
        path.write_text(values[name] + "\n")
    one = deployment(
        deployed.vps,
        name=NAME,
        gateway={"port": PORT},
        credentials={
            "OPENAI_API_KEY": {"env": "CANARY_OF_THE_TEST"},
            "MISTRAL_API_KEY": {"file": str(directory / "file")},
            "ANTHROPIC_API_KEY": {"command": f"cat {directory / 'command'}"},
        },
    )
    old = (
        f"# mine\nOPENCLAW_GATEWAY_TOKEN={values['token']}\nMY_OWN_KEY='{values['own']}'  # kept\n"
    )
    one.sh(f"mkdir -p /opt/{NAME} && umask 077 && cat >/opt/{NAME}/.env <<'END'\n{old}END\n")
    made = Canaries(one, values, {"CANARY_OF_THE_TEST": values["env"]})
    made.up("-vvv", "--diff", "-y")
    yield made
    filters = f"--filter label=com.docker.compose.project={NAME}"
    one.sh(f"docker ps -aq {filters} | xargs -r docker rm -fv")
    one.sh(f"docker network ls -q {filters} | xargs -r docker network rm")
    one.sh(f"docker image ls -q {NAME} | sort -u | xargs -r docker rmi -f")
    closed = f"{NAME}-closed.timer {NAME}-closed.service"
    one.sh(f"systemctl disable -q --now {closed}; rm -f /etc/systemd/system/{NAME}-closed.*")
    one.sh(f"nft delete table inet openclaw-{NAME}; rm -f /etc/openclaw-pyinfra/{NAME}.nft")
    one.sh(f"rm -rf /opt/{NAME} /var/lib/{NAME}")


def test_the_token_and_the_users_lines_are_kept(canaries: Canaries):
    env = canaries.deployment.sh(f"cat /opt/{NAME}/.env").splitlines()
    assert "# mine" in env
    assert f"OPENCLAW_GATEWAY_TOKEN={canaries.values['token']}" in env
    assert f"MY_OWN_KEY='{canaries.values['own']}'  # kept" in env
    assert (
        canaries.deployment.claw("token", env=canaries.environment).stdout.strip()
        == (canaries.values["token"])
    )


def test_the_credentials_reach_the_gateway(canaries: Canaries):
    inside = canaries.deployment.in_gateway("env")
    for key, name in (
        ("OPENAI_API_KEY", "env"),
        ("MISTRAL_API_KEY", "file"),
        ("ANTHROPIC_API_KEY", "command"),
        ("OPENCLAW_GATEWAY_TOKEN", "token"),
        ("MY_OWN_KEY", "own"),
    ):
        assert f"{key}={canaries.values[name]}\n" in inside


@pytest.mark.parametrize(
    "flags", ["--dry -v", "--dry -vv", "--dry -vvv --diff", "--dry --json", "--json -vvv --diff"]
)
def test_nothing_is_said_at_any_verbosity(flags: str, canaries: Canaries):
    """Each time with a changed credential: .env and what depends on it differ."""
    canaries.values["env"] = f"canary-env-{secrets.token_hex(16)}"
    canaries.environment["CANARY_OF_THE_TEST"] = canaries.values["env"]
    result = canaries.up(*flags.split(), expect=2 if "--dry" in flags else 0)
    for name, value in canaries.values.items():
        assert value not in result.output, name


def test_plain_pyinfra_says_nothing_either(canaries: Canaries):
    canaries.deployment._write_inventory({})
    command = [str(ROOT / ".venv/bin/pyinfra"), str(canaries.deployment.inventory), "deploy.py"]
    canaries.values["env"] = f"canary-env-{secrets.token_hex(16)}"
    environment = {**os.environ, "CANARY_OF_THE_TEST": canaries.values["env"]}
    for flags in (
        ["--dry", "--json"],
        ["--dry", "-vvv", "--diff", "--debug"],
        ["-y", "-vvv", "--diff"],
    ):
        with processes_watched(canaries.values):
            done = subprocess.run(
                [*command, *flags], cwd=ROOT, env=environment, capture_output=True, text=True
            )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-3000:]
        for name, value in canaries.values.items():
            assert value not in said, (name, flags)


def test_a_refused_configuration_is_explained_without_secrets(canaries: Canaries):
    wrong = {"openclaw": {"gateway": {"reload": {"mode": "no-such-mode"}}}}
    result = canaries.up("-vvv", settings=wrong, expect=1)
    assert "gateway.reload" in result.output
    for name, value in canaries.values.items():
        assert value not in result.output, name
    assert canaries.deployment.http() == 200


def test_every_artifact_of_these_runs_is_clean(canaries: Canaries):
    """What the runs left on disk; the token that `claw token` is for does not count."""
    mine = (path for path in ARTIFACTS.glob(f"{os.getpid()}-*") if "-token" not in path.name)
    for path in mine:
        text = path.read_text(errors="replace")
        assert [name for name, value in canaries.values.items() if value in text] == [], path


def test_nothing_is_in_images_compose_files_or_container_labels(canaries: Canaries):
    host = canaries.deployment
    patterns = on_the_host(canaries)
    sweep = f"""
    docker images -q | sort -u | while read -r image; do
      docker history --no-trunc "$image" | grep -cFf {patterns}
      docker inspect "$image" | grep -cFf {patterns}
    done
    docker save {host.container()["Image"]} | grep -acFf {patterns}
    cat /opt/{NAME}/*.yml | grep -cFf {patterns}
    docker inspect -f '{{{{json .Config.Labels}}}}' $(docker ps -aq) | grep -cFf {patterns}
    journalctl --no-pager | grep -cFf {patterns}
    """
    counts = host.sh(sweep, expect=None).split()
    assert len(counts) >= 6
    assert set(counts) == {"0"}
    host.sh(f"rm {patterns}")


def test_files_with_a_secret_are_for_their_owner_only(canaries: Canaries):
    host = canaries.deployment
    patterns = on_the_host(canaries)
    places = f"/opt /var/lib/{NAME} /tmp /var/tmp /etc /run /root /home /var/log"
    search = f"grep -rlaFf {patterns} --exclude={Path(patterns).name} {places} 2>/dev/null"
    exclude = "grep -v '^/run/docker/\\|^/run/containerd/'"
    found = host.sh(f"{search} | {exclude} | xargs -rd '\\n' stat -c '%a %U %n'")
    host.sh(f"rm {patterns}")
    assert f"600 root /opt/{NAME}/.env" in found.splitlines()
    wide = [line for line in found.splitlines() if not re.match("[46]00 ", line)]
    assert wide == []
    stray = [line for line in found.splitlines() if not re.search(rf"/{NAME}/", line)]
    assert stray == []


def on_the_host(canaries: Canaries) -> str:
    """A file with the canaries, for grep -f: never an argument."""
    path = "/root/canary-patterns"
    lines = "\n".join(canaries.values.values())
    canaries.deployment.sh(f"umask 077; cat >{shlex.quote(path)} <<'END'\n{lines}\nEND")
    return path
