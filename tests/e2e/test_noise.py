"""What login shells, banners and sudo say beside the answer: it is dropped, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e.harness import Deployment, Result

pytestmark = [pytest.mark.engine, pytest.mark.whole]

PASSWORD = "it's-a-canary"
DEPLOY = """
from pyinfra import config, host

from operations.gateway import directories, secrets
from operations.base import preflight, snapshot

settings = preflight.run()
config.SUDO = snapshot.needs_sudo(host)
directories.create(settings=settings)
secrets.write(settings=settings)
"""
# Before what is asked, behind it, and meanwhile; words like those that are expected.
NOISE = {
    "bash": """
echo "Welcome to $(hostname)"; echo allowed; echo 0; printf 'no newline'; seq 300; echo >&2 bashrc
printf '\\033]0;title\\007\\377\\376\\n'
trap 'echo Goodbye; echo' EXIT
""",
    "fish": "echo Welcome; echo allowed; echo 0; printf '\\e[31mfish'; seq 300; echo fish >&2\n",
    "zsh": "echo Welcome; echo allowed; echo 0; printf 'no newline'; seq 300; echo zsh >&2\n"
    "zshexit() { echo Goodbye }\n",
}
FILES = {"bash": ".bashrc", "fish": ".config/fish/config.fish", "zsh": ".zshenv"}
PREPARE = f"""
apt-get update -qq; apt-get install -qq -y --no-install-recommends fish zsh >/dev/null || exit 1
for shell in bash fish zsh; do for kind in free asked; do
  user=$kind-$shell
  id "$user" >/dev/null 2>&1 || useradd -m -s "$(command -v $shell)" "$user" || exit 1
  printf '%s\\n' "$user:{PASSWORD}" | chpasswd
  [ $kind = asked ] || free=NOPASSWD:
  echo "$user ALL=(ALL) $free ALL" >"/etc/sudoers.d/$user"
  free=
  install -d -m700 -o "$user" -g "$user" "/home/$user/.ssh"
  install -m600 -o "$user" -g "$user" /root/.ssh/authorized_keys "/home/$user/.ssh/"
done; done
# sudo warns of a host without an entry in /etc/hosts, and works.
grep -v "$(hostname)" /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts
"""
HELD = (
    f"OPENCLAW_GATEWAY_TOKEN={'a1' * 32}\n# the user's own\nMINE='x y'\nANTHROPIC_API_KEY=s3cret\n"
)
EVERYDAY = (("", "bash"), ("free", "fish"), ("asked", "zsh"))
CONFIG = '{\n  "gateway": {"mode": "local"},\n  "mine": [1, 2]\n}\n'


@pytest.fixture(scope="module")
def prepared(lab_host, tmp_path_factory) -> tuple[lab.Host, Path]:
    host = lab_host("bookworm", "noisy")  # its own: what others ask of a host must not meet this
    assert lab.ssh(host.name, PREPARE).returncode == 0
    deploy = tmp_path_factory.mktemp("noise") / "deploy.py"
    deploy.write_text(DEPLOY)
    return host, deploy


@pytest.fixture
def noisy(prepared, deployment) -> Iterator[Callable[..., Noisy]]:
    """`noisy(user, shell, name)`: the shell says much until the test ends."""
    host, deploy = prepared
    made: list[Noisy] = []

    def make(user: str, shell: str, name: str) -> Noisy:
        more = {"_sudo_password": PASSWORD} if user.startswith("asked") else {}
        made.append(Noisy(deployment(host, user=user, name=name, **more), deploy, user, shell))
        return made[-1]

    yield make
    for one in made:
        one.root(f"rm {one.file}; chsh -s /bin/bash root")


class Noisy:
    """`./claw up` with the stages that write `.env`, as a user whose shell says a lot."""

    def __init__(self, deployment: Deployment, deploy: Path, user: str, shell: str) -> None:
        self.deployment, self.deploy = deployment, deploy
        home = "/root" if user == "root" else f"/home/{user}"
        self.file = f"{home}/{FILES[shell]}"
        self.root(f"chsh -s $(command -v {shell}) {user}")
        self.put(self.file, NOISE[shell])

    def up(self, *arguments: str, **options: Any) -> Result:
        return self.deployment.claw("up", "--deploy", str(self.deploy), *arguments, **options)

    def root(self, command: str) -> str:
        """The output of a command as root, not through SSH."""
        assert self.deployment.host
        return lab.inside(self.deployment.host.container, command)

    def put(self, path: str, text: str) -> None:
        assert self.deployment.host
        write = f'mkdir -p $(dirname {path}); printf %s "$1" >{path}'
        lab.inside(self.deployment.host.container, write, text)


LOGINS = [
    pytest.param(
        f"{kind}-{shell}" if kind else "root",
        shell,
        marks=[] if (kind, shell) in EVERYDAY else pytest.mark.long,
    )
    for kind in ("", "free", "asked")
    for shell in ("bash", "fish", "zsh")
]


@pytest.mark.parametrize(("user", "shell"), LOGINS)
def test_what_files_hold_stays_whatever_is_said_beside_it(noisy, user, shell) -> None:
    name = f"noise-{user}-{shell}"
    one = noisy(user, shell, name)
    env, config = f"/opt/{name}/.env", f"/var/lib/{name}/config/openclaw.json"
    one.root(f"rm -rf /opt/{name} /var/lib/{name}")
    one.up()  # makes the directories
    one.put(env, HELD)
    one.put(config, CONFIG)
    one.root(f"chown --reference=$(dirname {config}) {config}")
    more = {"credentials": {"NEW_KEY": {"env": "NEW_KEY"}}}
    run = one.up(env={"NEW_KEY": "brand-new"}, settings=more)
    assert one.root(f"cat {env}") == f"{HELD}NEW_KEY=brand-new\n"
    assert one.root(f"cat {config}") == CONFIG
    assert "s3cret" not in run.output and "canary" not in run.output
    again = one.up("--json", env={"NEW_KEY": "brand-new"}, settings=more)
    assert [host["state"] for host in again.json["hosts"].values()] == ["unchanged"]
    assert one.root("find /tmp /dev/shm /run/user /home -path '*askpass*' -type f") == ""


def test_a_forced_command_is_quoted(noisy) -> None:
    one = noisy("root", "bash", "noise-forced")
    keys = one.root("cat /root/.ssh/authorized_keys")
    said = 'Please login as the user "deploy" rather than the user "root".'
    forced = f"command=\"echo '{said}';exit 142\" {keys}".replace(
        f"'{said}'", "'" + said.replace('"', '\\"') + "'"
    )
    one.put("/root/.ssh/authorized_keys", forced)
    try:
        run = one.up("--dry", expect=1)
    finally:
        one.put("/root/.ssh/authorized_keys", keys)
    assert said in " ".join(run.output.split())
    assert "Traceback" not in run.output and "please report" not in run.output


def test_one_session_at_a_time_is_enough(noisy) -> None:
    one = noisy("root", "bash", "noise-sessions")
    one.put("/etc/ssh/sshd_config.d/one.conf", "MaxSessions 1\n")
    one.root("systemctl reload ssh")
    try:
        one.up()
        run = one.up("--json")
    finally:
        one.root("rm /etc/ssh/sshd_config.d/one.conf; systemctl reload ssh")
    assert [host["state"] for host in run.json["hosts"].values()] == ["unchanged"]
