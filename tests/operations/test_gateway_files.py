"""Facts in, commands out: directories, `.env` and the compose files of a gateway."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyinfra.context import ctx_host

from operations import project
from operations.base import preflight, snapshot
from operations.gateway import bridges, compose, directories, secrets
from tests.operations.hosts import FakeHost, commands, judged, private_answer
from toolkit import credentials
from toolkit.settings import Settings

TOKEN = "a" * 64
DIRECTORIES = """\
directory|755|0:0|-|/opt/openclaw
directory|700|0:0|-|/opt/openclaw/run
directory|700|0:0|-|/var/lib/openclaw
directory|700|1000:1000|-|/var/lib/openclaw/config
directory|755|0:0|-|/var/lib/openclaw/config/workspace
directory|755|1000:1000|-|/var/lib/openclaw/workspace
directory|700|1000:1000|-|/var/lib/openclaw/auth
directory|700|1000:1000|-|/var/lib/openclaw/archives
"""
OVERRIDE = "regular file|644|0:0|0123|/opt/openclaw/docker-compose.override.yml\n"
Answers = dict[str, str]


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


def private(environment: str | bytes | None, config: str | bytes | None = None) -> Answers:
    states = [
        "absent" if content is None else f"regular file|600|{owner}"
        for content, owner in ((environment, "0:0"), (config, "1000:1000"))
    ]
    return {"private": "\n".join(states), "files": DIRECTORIES}


@pytest.fixture
def files_on_host(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answers]:
    """`files_on_host(environment, config)`: what a quiet read finds; returns the snapshot."""

    def put(
        environment: str | bytes | None, config: str | bytes | None = None, proxies: str = ""
    ) -> Answers:
        answer = private_answer(environment, config, proxies)
        monkeypatch.setattr(snapshot, "read_quietly", lambda *_: answer)
        return private(environment, config)

    return put


@contextmanager
def on(answers: Answers, wanted: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(snapshot, "settings_for", lambda _: wanted)
    with ctx_host.use(FakeHost(answers)):
        yield


def problems(check: Callable, answers: Answers, wanted: Settings) -> list[preflight.Problem]:
    return judged(check, wanted, answers)


# Directories


def lines(command: Any) -> list[str]:
    """What a script does, behind the functions it begins with."""
    return command.stdin.rpartition("\n}\n")[2].strip().splitlines()


def test_a_bare_host_gets_every_directory_in_one_command() -> None:
    (command,) = commands(directories.created, {"files": ""}, settings=settings())
    assert lines(command) == [
        "install -d -o 0 -g 0 -m 755 /opt/openclaw",
        "install -d -o 0 -g 0 -m 700 /opt/openclaw/run",
        "install -d -o 0 -g 0 -m 700 /var/lib/openclaw",
        "install -d -o 1000 -g 1000 -m 700 /var/lib/openclaw/config",
        "as_owner 60 /var/lib/openclaw/config mkdir -p -m 755 -- workspace",
        "install -d -o 1000 -g 1000 -m 755 /var/lib/openclaw/workspace",
        "install -d -o 1000 -g 1000 -m 700 /var/lib/openclaw/auth",
        "install -d -o 1000 -g 1000 -m 700 /var/lib/openclaw/archives",
    ]


def test_directories_as_they_should_be_are_left() -> None:
    assert commands(directories.created, {"files": DIRECTORIES}, settings=settings()) == []
    private_workspace = DIRECTORIES.replace("755|1000", "700|1000")
    assert commands(directories.created, {"files": private_workspace}, settings=settings()) == []


def test_only_what_differs_is_mended_and_nothing_below_it() -> None:
    found = DIRECTORIES.replace(
        "700|1000:1000|-|/var/lib/openclaw/auth", "755|0:0|-|/var/lib/openclaw/auth"
    )
    (command,) = commands(directories.created, {"files": found}, settings=settings())
    assert lines(command) == ["install -d -o 1000 -g 1000 -m 700 /var/lib/openclaw/auth"]


def test_what_the_containers_user_could_have_replaced_by_a_link_is_not_followed() -> None:
    """A workspace inside the state directory is the container's to write: root mends nothing."""
    chosen = {"directories": {"workspace": "/var/lib/openclaw/config/workspace"}}
    found = DIRECTORIES.replace("/workspace\n", "/workspace-elsewhere\n", 1)
    (command,) = commands(directories.created, {"files": found}, settings=settings(**chosen))
    made = ["as_owner 60 /var/lib/openclaw/config mkdir -p -m 755 -- workspace"]
    assert lines(command) == made
    assert commands(directories.created, {"files": DIRECTORIES}, settings=settings(**chosen)) == []


def test_a_home_directory_is_created_and_never_mended() -> None:
    home = settings(home_volume="/srv/home")
    (command,) = commands(directories.created, {"files": DIRECTORIES}, settings=home)
    assert lines(command)[0] == "install -d -o 1000 -g 1000 -m 700 /srv/home"
    found = DIRECTORIES + "directory|755|0:0|-|/srv/home\n"
    assert commands(directories.created, {"files": found}, settings=home) == []


PARENTS = """\
f: /opt/openclaw
drwxr-xr-x root root /
drwxr-xr-x root root opt
                     openclaw - No such file or directory
f: /home/alice/claw/config
drwxr-xr-x root  root  /
drwxr-xr-x root  root  home
drwxr-xr-x alice alice alice
"""


@pytest.mark.parametrize(
    ("parents", "who"),
    [
        (PARENTS + "drwxr-xr-x root root claw\ndrwx------ 1000 1000 config\n", "alice"),
        (PARENTS + "                      claw - No such file or directory\n", "alice"),
        ("f: /d\ndrwxr-xr-x root root /\ndrwx------ 1000 1000 d\n", None),
        ("f: /t/d\ndrwxr-xr-x root root /\ndrwxrwxrwt root root t\n d - No such\n", "others"),
        ("f: /t/d\ndrwxrwxrwt root root t\ndrwx------ root root d\n", "others"),
        ("f: /t/d/e\ndrwxrwxrwt root root t\ndrwx------ root root d\n e - No such\n", None),
        ("f: /t/d/e\ndrwxrwxrwt root root t\ndrwx------ bob bob d\n e - No such\n", "bob"),
        ("f: /t/d\ndrwxrwxr-x root staff t\n d - No such\n", "others"),
        ("f: /t/d\ndrwxrwxr-x root root t\n d - No such\n", None),
        (
            "f: /l/d\nlrwxrwxrwx root root l -> /home/a b/c\ndrwxr-xr-x root root   /\n"
            "drwxr-xr-x root root   home\ndrwxr-xr-x eve eve   a b\ndrwx------ root root   c\n"
            "drwx------ 1000 1000 d\n",
            "eve",
        ),
    ],
)
def test_root_works_only_where_nobody_else_can_put_a_link(parents: str, who: str | None) -> None:
    wanted = settings(directories={"config": "/home/alice/claw/config"})
    answers = {"files": "", "parents": parents}
    said = problems(directories.directory_problems, answers, wanted)
    assert len(said) == (1 if who else 0)
    assert not who or who in said[0].what


def test_the_parents_are_as_the_host_lists_them(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("gives a directory away")
    alice = tmp_path / "a b"
    (alice / "inside").mkdir(parents=True)
    os.chown(alice, 4711, 4711)
    (tmp_path / "link").symlink_to(alice)
    for path, foreign in (
        (alice / "x", True),
        (tmp_path / "link/inside/x", True),
        ("/opt/x", False),
    ):
        probe = directories.Parents.script(settings(directories={"config": str(path)}))
        listed = subprocess.run(["sh", "-c", probe], capture_output=True, text=True).stdout
        assert (str(path) in directories.Parents.parse(listed.splitlines()).foreign) == foreign


def test_missing_mount_sources_and_files_in_the_way_are_problems() -> None:
    wanted = settings(extra_mounts=["/srv/data:/data:ro"])
    found = DIRECTORIES.replace(
        "directory|700|1000:1000|-|/var/lib/openclaw/auth",
        "regular file|600|0:0|ab|/var/lib/openclaw/auth",
    )
    said = [
        problem.what
        for problem in problems(directories.directory_problems, {"files": found}, wanted)
    ]
    assert said == [
        "/var/lib/openclaw/auth is a regular file, not a directory",
        "extra_mounts: /srv/data does not exist on this host",
    ]


# .env


def run_script(command: str, text: str, directory: Path) -> str:
    """Run a command on this machine, with /opt/openclaw replaced by `directory`."""
    here = command.replace("/opt/openclaw", str(directory))
    subprocess.run(["sh", "-c", here], input=text, text=True, check=True)
    written = directory / ".env"
    assert written.stat().st_mode & 0o777 == 0o600
    return written.read_text()


def text_of(command: Any) -> str:
    """The new content; the line before it is the digest of what it was made of."""
    return command.stdin.partition("\n")[2]


HELD = f"OPENCLAW_GATEWAY_TOKEN={TOKEN}\nMINE=1\n"


@pytest.mark.parametrize(
    ("there", "taken_for", "cut"),
    [
        (HELD, None, 0),
        (HELD, "", 0),
        (HELD, "MINE=1\n", 0),
        (HELD + "LATER=1\n", HELD, 0),
        ("", None, 0),
        (HELD, HELD, 5),
        (None, HELD, 0),
    ],
)
def test_env_is_replaced_only_where_all_of_it_was_read_and_all_of_the_new_one_came(
    there, taken_for, cut, files_on_host, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret")
    wanted = settings(credentials={"ANTHROPIC_API_KEY": {"env": "MY_KEY"}})
    (command,) = commands(secrets.written, files_on_host(taken_for), settings=wanted)
    if there is not None:
        (tmp_path / ".env").write_text(there)
    with pytest.raises(subprocess.CalledProcessError):
        run_script(command, command.stdin[: len(command.stdin) - cut], tmp_path)
    assert ((tmp_path / ".env").read_text() if there is not None else None) == there
    if taken_for:
        (tmp_path / ".env").write_text(taken_for)
        assert "s3cret" in run_script(command, command.stdin, tmp_path)


def test_the_host_makes_the_token_itself(files_on_host, tmp_path: Path) -> None:
    made = []
    for number in "12":
        place = tmp_path / number
        place.mkdir()
        (command,) = commands(secrets.written, files_on_host(None), settings=settings())
        made.append(run_script(command, command.stdin, place))
    first, second = made
    made = [secrets.dotenv.values(text)["OPENCLAW_GATEWAY_TOKEN"] for text in (first, second)]
    assert all(len(token) == 64 and int(token, 16) for token in made)
    assert made[0] != made[1]


def test_the_users_lines_are_kept_and_the_token_too(files_on_host, monkeypatch) -> None:
    monkeypatch.setenv("MY_KEY", "s3 cret$")
    credentials.read.cache_clear()
    text = f"# mine\nFOO='a b'\nOPENCLAW_GATEWAY_TOKEN={TOKEN}\nBAR=1"
    wanted = settings(credentials={"ANTHROPIC_API_KEY": {"env": "MY_KEY"}})
    (command,) = commands(secrets.written, files_on_host(text), settings=wanted)
    assert text_of(command) == f"{text}\nANTHROPIC_API_KEY='s3 cret$'\n"
    assert "s3" not in command and TOKEN not in command
    assert commands(secrets.written, files_on_host(text_of(command)), settings=wanted) == []


def test_a_file_that_others_may_read_is_closed(files_on_host) -> None:
    answers = files_on_host(f"OPENCLAW_GATEWAY_TOKEN={TOKEN}\n")
    answers["private"] = answers["private"].replace("600|0:0", "644|0:0")
    assert len(commands(secrets.written, answers, settings=settings())) == 1


def test_a_token_in_openclaw_json_is_adopted(files_on_host) -> None:
    config = f"{{gateway: {{auth: {{mode: 'token', token: '{TOKEN}'}}}}}} // json5"
    (command,) = commands(secrets.written, files_on_host("A=1\n", config), settings=settings())
    assert text_of(command) == f"A=1\nOPENCLAW_GATEWAY_TOKEN={TOKEN}\n"
    assert "urandom" not in command


def test_a_reference_in_openclaw_json_is_not_a_token(files_on_host) -> None:
    for token in ('"${OPENCLAW_GATEWAY_TOKEN}"', '{"source": "env", "id": "X"}'):
        answers = files_on_host("", f'{{"gateway": {{"auth": {{"token": {token}}}}}}}')
        (command,) = commands(secrets.written, answers, settings=settings())
        assert "urandom" in command


@pytest.mark.parametrize(
    ("environment", "config", "said"),
    [
        (
            f"OPENCLAW_GATEWAY_TOKEN={TOKEN}",
            f'{{"gateway": {{"auth": {{"token": "{"b" * 64}"}}}}}}',
            "two different gateway tokens",
        ),
        ("OPENCLAW_GATEWAY_TOKEN=\n", None, "has 0 characters"),
        ("OPENCLAW_GATEWAY_TOKEN=short\n", None, "has 5 characters"),
        ("A=1\nnonsense here\n", None, "/opt/openclaw/.env: line 2 is neither"),
        ("A='x\n", None, "/opt/openclaw/.env: line 1 opens a quote"),
        ("A=1\nA=2\n", None, "two different values"),
        (b"A=\xff\n", None, "not UTF-8"),
        (b"A=\0\n", None, "NUL"),
    ],
)
def test_what_is_wrong_with_env_is_one_problem_without_secrets(
    environment, config, said, files_on_host
) -> None:
    (problem,) = problems(secrets.secret_problems, files_on_host(environment, config), settings())
    assert said in problem.what
    assert problem.fix
    assert TOKEN not in problem.what + problem.fix and "b" * 64 not in problem.what


def test_a_credential_that_cannot_be_read_is_a_problem(files_on_host, tmp_path: Path) -> None:
    credentials.read.cache_clear()
    wanted = settings(
        credentials={
            "A": {"env": "NOT_SET_ANYWHERE"},
            "B": {"file": str(tmp_path / "none")},
            "C": {"command": "printf 'hun''ter2' >&2; false"},
        }
    )
    said = [
        problem.what for problem in problems(secrets.secret_problems, files_on_host(None), wanted)
    ]
    assert [text.partition(":")[0] for text in said] == [
        "credentials.A",
        "credentials.B",
        "credentials.C",
    ]
    assert "hunter2" not in " ".join(said)


def test_the_hosts_proxies_are_taken_over_once(files_on_host) -> None:
    proxies = "HTTPS_PROXY=http://u:p@proxy:3128\nhttp_proxy=http://127.0.0.1:3128\n"
    text = f"OPENCLAW_GATEWAY_TOKEN={TOKEN}\n"
    (command,) = commands(secrets.written, files_on_host(text, None, proxies), settings=settings())
    taken = "HTTPS_PROXY=http://u:p@proxy:3128\nNO_PROXY=localhost,127.0.0.1,::1\n"
    assert text_of(command) == text + taken
    changed = text + taken.replace("proxy:3128", "other:1").replace(",::1", "")
    assert (
        commands(secrets.written, files_on_host(changed, None, proxies), settings=settings()) == []
    )
    distrusting = settings(trust_host_cas=False)
    assert commands(secrets.written, files_on_host(text, None, proxies), settings=distrusting) == []


def test_compose_knows_the_extra_file_only_while_there_is_one(files_on_host) -> None:
    text = f"OPENCLAW_GATEWAY_TOKEN={TOKEN}\n"
    with_home = settings(home_volume="claw_home")
    (command,) = commands(secrets.written, files_on_host(text), settings=with_home)
    extended = f"{text}COMPOSE_FILE=docker-compose.yml:docker-compose.extra.yml\n"
    assert text_of(command) == extended
    (command,) = commands(secrets.written, files_on_host(extended), settings=settings())
    assert text_of(command) == text
    own = f"{text}COMPOSE_FILE=docker-compose.yml:mine.yml\n"
    assert commands(secrets.written, files_on_host(own), settings=with_home) == []


# The compose files


def composed(wanted: Settings, answers: Answers, monkeypatch) -> dict[str, Any]:
    with on(answers, wanted, monkeypatch):
        return yaml.safe_load(compose.base_file(wanted).content)


def services(wanted: Settings, answers: Answers, monkeypatch) -> dict[str, Any]:
    return composed(wanted, answers, monkeypatch)["services"]


def test_the_network_is_none_that_an_earlier_deployment_left(files_on_host, monkeypatch) -> None:
    answers = files_on_host(f"OPENCLAW_GATEWAY_TOKEN={TOKEN}\n")
    default = composed(settings(), answers, monkeypatch)["networks"]["default"]
    bridge = default["driver_opts"]["com.docker.network.bridge.name"]
    assert default["name"] == bridge == bridges.bridge(settings().name)


def test_both_services_are_closed_and_limited(files_on_host, monkeypatch) -> None:
    answers = files_on_host(f"OPENCLAW_GATEWAY_TOKEN={TOKEN}\n")
    for service in services(settings(), answers, monkeypatch).values():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        profile = "/opt/openclaw/security/seccomp-gateway.json"
        assert service["security_opt"] == ["no-new-privileges:true", f"seccomp:{profile}"]
        assert service["user"] == "1000:1000"
        assert service["pids_limit"] == 512
        assert service["mem_limit"] == service["memswap_limit"] == "3g"
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
        assert "--max-old-space-size=1536" in service["environment"]["NODE_OPTIONS"]


@pytest.mark.parametrize(
    ("address", "published"),
    [
        ("127.0.0.1", "127.0.0.1:18789:18789"),
        ("::1", "[::1]:18789:18789"),
        ("0.0.0.0", "0.0.0.0:18789:18789"),
    ],
)
def test_the_port_is_published_on_the_address_of_the_settings(
    address, published, files_on_host, monkeypatch
) -> None:
    found = services(settings(gateway={"address": address}), files_on_host(""), monkeypatch)
    assert found["openclaw-gateway"]["ports"] == [published]
    assert "ports" not in found["openclaw-cli"]


def test_a_value_of_the_environment_stays_what_it_is(files_on_host, monkeypatch) -> None:
    nasty = {"A": "a'b", "B": 'x" : {y', "C": "yes", "D": "0x10", "E": "#no"}
    found = services(settings(gateway={"environment": nasty}), files_on_host(""), monkeypatch)
    environment = found["openclaw-gateway"]["environment"]
    assert {key: environment[key] for key in nasty} == nasty


def test_openclaw_cli_has_room_on_disk_and_a_place_for_archives(files_on_host, monkeypatch) -> None:
    """`openclaw backup create --verify`, as it is documented, in what is shipped."""
    wanted = settings(gateway={"environment": {"MINE": "1"}})
    both = services(wanted, files_on_host(""), monkeypatch)
    gateway, cli = both["openclaw-gateway"], both["openclaw-cli"]
    assert cli["environment"] == {**gateway["environment"], "TMPDIR": "/var/tmp"}
    mounts = cli["volumes"][: len(gateway["volumes"])], cli["volumes"][len(gateway["volumes"]) :]
    assert mounts[0] == gateway["volumes"]
    assert [(one["type"], one.get("source"), one["target"]) for one in mounts[1]] == [
        ("bind", "/var/lib/openclaw/archives", "/home/node/Backups"),
        ("volume", None, "/var/tmp"),
    ]
    assert cli["working_dir"] == "/home/node/Backups"
    home = services(settings(home_volume="claw_home"), files_on_host(""), monkeypatch)
    assert home["openclaw-cli"]["working_dir"] == "/home/node"
    assert "archives" not in str(home)


def test_mounts_and_home_are_those_of_both_services() -> None:
    wanted = settings(extra_mounts=["/srv/a:/a:ro", "/srv/b:/b"], home_volume="claw_home")
    extra = compose.extra_file(wanted)
    assert extra and extra.path == "/opt/openclaw/docker-compose.extra.yml"
    content = yaml.safe_load(extra.content)
    for service in ("openclaw-gateway", "openclaw-cli"):
        mounts = content["services"][service]["volumes"]
        assert [(m["type"], m["source"], m["target"], m["read_only"]) for m in mounts] == [
            ("volume", "claw_home", "/home/node", False),
            ("bind", "/srv/a", "/a", True),
            ("bind", "/srv/b", "/b", False),
        ]
    assert content["volumes"] == {"claw_home": {"name": "claw_home"}}
    assert "Generated" in extra.content
    assert compose.extra_file(settings()) is None


def inputs(wanted: Settings, answers: Answers, monkeypatch) -> str:
    with on(answers, wanted, monkeypatch):
        return compose.inputs(wanted)


def test_the_label_changes_with_what_the_container_gets_and_with_nothing_else(
    files_on_host, monkeypatch
) -> None:
    def of(environment: str, files: str = DIRECTORIES, **values: Any) -> str:
        answers = files_on_host(environment) | {"files": files}
        return inputs(settings(**values), answers, monkeypatch)

    text = f"OPENCLAW_GATEWAY_TOKEN={TOKEN}\nA=1\nB=2\n"
    was = of(text)
    same = f"# comment\nB=2\nOPENCLAW_GATEWAY_TOKEN='{TOKEN}'\n\nA=1\nCOMPOSE_PROFILES=x\n"
    assert of(same) == was
    assert of(text, openclaw={"session": {"dmScope": "main"}}) == was
    changed = [
        of(text.replace("A=1", "A=2")),
        of(text, files=DIRECTORIES + OVERRIDE),
        of(text, files=DIRECTORIES + OVERRIDE.replace("0123", "4567")),
        of(text, time_zone="Europe/Berlin"),
        of(text, home_volume="claw_home"),
        of(text, config_ownership="managed"),
    ]
    assert len({was, *changed}) == len(changed) + 1


def test_the_label_does_not_help_to_guess_a_value(files_on_host, monkeypatch) -> None:
    """The same weak value under two tokens leaves two digests."""
    labels = {
        inputs(
            settings(),
            files_on_host(f"OPENCLAW_GATEWAY_TOKEN={token * 64}\nPIN=1234\n"),
            monkeypatch,
        )
        for token in "ab"
    }
    assert len(labels) == 2


def test_files_are_replaced_only_if_compose_accepts_them(
    files_on_host, tmp_path: Path, monkeypatch
) -> None:
    answers = files_on_host(f"OPENCLAW_GATEWAY_TOKEN={TOKEN}\n")
    (command,) = commands(compose.configured, answers, settings=settings())
    script = command.stdin.replace("/opt/openclaw", str(tmp_path)).replace("chown 0:0", "true")
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    (tmp_path / project.BASE).write_text("old\n")
    for accepts, expected in ((False, "old\n"), (True, None)):
        docker.write_text(f"#!/bin/sh\n[ -e docker-compose.yml.new ] && {str(accepts).lower()}\n")
        docker.chmod(0o755)
        done = subprocess.run(
            ["sh", "-s"],
            input=script,
            text=True,
            env={"PATH": f"{docker.parent}:/usr/bin:/bin"},
            capture_output=True,
        )
        assert (done.returncode == 0) == accepts
        content = (tmp_path / project.BASE).read_text()
        assert content == expected if expected else "openclaw-gateway" in content


def test_the_extra_file_goes_when_nothing_needs_it(files_on_host, tmp_path: Path) -> None:
    answers = files_on_host(f"OPENCLAW_GATEWAY_TOKEN={TOKEN}\n")
    answers["files"] += "regular file|644|0:0|ab|/opt/openclaw/docker-compose.extra.yml\n"
    (command,) = commands(compose.configured, answers, settings=settings())
    assert command.stdin.rstrip().endswith("rm -f docker-compose.extra.yml")
