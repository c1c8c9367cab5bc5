"""Another OpenClaw is found, judged and taken over: the questions on a host of directories, the
script on gateways that are a few files, cut at any of its steps."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operations.base import preflight, templates
from operations.base.quoting import Script
from operations.gateway import conflicts, host_secrets
from operations.lifecycle import adoption, finding, taking_over
from operations.lifecycle.installation import Container, Installation, unit
from tests.operations.fake_gateway import FUNCTIONS, STEPS, Gateway
from tests.operations.hosts import at, commands
from toolkit import secret_names
from toolkit.settings import Settings

TOKEN = "0123456789abcdef0123456789abcdef"
CONTAINER = "c" * 64
COUNTS = '{"agents":1,"sessions":3,"cron_jobs":null}'
# Their containers, in an engine that is a few files.
DOCKER = r"""
docker() {{
  case $1 in
    update) shift; echo "${{1#--restart=}}" >{fake}/policy ;;
    stop) echo stopped >{fake}/theirs ;;
    start) [ ! -e {fake}/unstartable ] && echo running >{fake}/theirs ;;
    run) cat {fake}/counts ;;
    inspect) [ ! -e {fake}/gone ] ;;
    *) : ;;
  esac
}}
containers() {{ :; }}
gateway_exec() {{ cat {fake}/counts-after 2>/dev/null || cat {fake}/counts; }}
gateway_stop() {{ echo exited >{fake}/status; }}
gateway_deployed() {{ [ -e {fake}/status ]; }}
"""
ACTIVATE = r"""
[ ! -e {fake}/unready ] || exit 1
cp {config}/openclaw.json {fake}/started-with && echo running >{fake}/status
"""


class Host(Gateway):
    """A host with somebody's OpenClaw in a directory, and a deployment that is prepared."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.workspace, self.auth = directory / "workspace", directory / "auth"
        self.state = directory / "home/.openclaw"
        for path in (self.workspace, self.auth, self.state / "workspace", self.state / "agents/a"):
            path.mkdir(parents=True)
        (self.state / "openclaw.json").write_text('{"theirs": 1}')
        (self.state / "agents/a/store").write_text("kept")
        (self.state / "workspace/notes").write_text("kept")
        (self.config / "openclaw.json").write_text('{"merged": 1}')
        (self.project / ".env").write_text(f"OPENCLAW_GATEWAY_TOKEN={TOKEN}\n")
        activate = ACTIVATE.format(fake=self.fake, config=self.config)
        (self.project / "run/activate.sh").write_text(activate)
        self.set("theirs", "running\n")
        self.set("policy", "unless-stopped\n")
        self.set("counts", COUNTS)
        self.before = self.theirs()
        self.one = Installation(
            kind="docker",
            name="theirs",
            where="/srv/theirs",
            state=str(self.state),
            inside="/home/node/.openclaw",
            running=True,
            containers=(Container(CONTAINER, True, "unless-stopped"),),
            parts={"workspace": str(self.state / "workspace")},
            files={"openclaw.json": (self.state / "openclaw.json").read_bytes()},
        )

    @property
    def functions(self) -> Script:
        text = FUNCTIONS.format(fake=self.fake, image="a" * 64) + DOCKER.format(fake=self.fake)
        return Script(text)

    def theirs(self) -> dict[str, Any]:
        """What must not change: every file, and the container's policy and state."""
        files = {
            str(path): (path.read_text() if path.is_file() else "", path.stat().st_mode)
            for path in sorted(self.state.rglob("*"))
        }
        return {"files": files, "policy": self.says("policy"), "state": self.says("theirs")}

    def script(self, one: Installation | None = None) -> str:
        return templates.render(
            "lifecycle/adopt.sh.j2",
            job="adopt",
            docker=self.functions,
            service=False,
            kind="container",
            name="claw",
            project=str(self.project),
            config=str(self.config),
            workspace=str(self.workspace),
            auth=str(self.auth),
            workspace_inside_config=True,
            image="claw:local",
            uid=os.getuid(),
            socket="/var/run/docker.sock",
            url="http://127.0.0.1:1",
            timeout=20,
            seconds=60,
            answer_seconds=3,
            limit=1 << 20,
            file="openclaw.json" if one else "",
            digest=taking_over.digest(one) if one else "",
            source=adoption._source(one) if one else "",
            moved=[],
            state_inside="/home/node/.openclaw",
            counts="",
            relocate="",
            secret_parts=secret_names.LOGGED,
            secrets=[],
        )

    def adopt(self, kill_at: int | None = None) -> tuple[int, str]:
        made = self.config / "openclaw.json"
        if self.config.exists() and not made.exists():
            made.write_text('{"merged": 1}')  # as each run prepares it
        return self.run(self.script(self.one), "adopt", kill_at)

    def taken(self) -> bool:
        return (
            (self.config / "agents/a/store").exists()
            and (self.config / "openclaw.json").read_text() == '{"merged": 1}'
            and (self.workspace / "notes").exists()
            and self.says("status") == "running"
            and self.says("theirs") == "stopped"
            and self.says("policy") == "no"
        )

    def as_before(self, prepared: bool = False) -> bool:
        return (
            self.theirs() == self.before
            and self.says("status") != "running"
            and not (self.config / "agents").exists()
            and (prepared or not (self.config / "openclaw.json").exists())
        )


@pytest.fixture
def one(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_its_state_is_copied_and_it_cannot_start_by_itself(one: Host) -> None:
    code, said = one.adopt()
    assert code == 0, said
    assert one.taken() and one.says("started-with") == '{"merged": 1}'
    assert one.theirs()["files"] == one.before["files"]
    assert not list(one.config.parent.glob("*.re*")), "nothing is left beside"
    assert one.adopt()[0] == 0 and one.taken(), "once more changes nothing"


def test_it_comes_back_exactly(one: Host) -> None:
    one.adopt()
    (one.config / "written-since").write_text("")
    code, said = one.run(one.script(), "undo")
    assert code == 0, said
    assert one.theirs() == one.before and one.says("status") == "exited"
    (aside,) = one.config.parent.glob("config.undone-*")
    assert (aside / "written-since").exists()
    assert not (one.project / "adopted").exists()
    assert one.run(one.script(), "undo")[0] == 0


def test_what_a_gateway_wrote_that_ran_after_an_interruption_stays(one: Host) -> None:
    """The host went down while the gateway was looked at, and the engine started that again."""
    one.adopt()
    (one.project / "adopted/done").rename(one.project / "adopted/adopting")
    (one.project / "adopted/adopting").write_text("starting\n")
    for path in (one.config, one.workspace, one.auth):
        path.with_name(f"{path.name}.replaced").mkdir()
    (one.config / "written-since").write_text("")
    code, said = one.run(one.script(), "recover")
    assert code == 0, said
    assert one.as_before(), said
    (aside,) = one.config.parent.glob("config.undone-*")
    assert (aside / "written-since").exists() and str(aside) in said
    assert one.adopt()[0] == 0 and one.taken()


def test_what_is_gone_cannot_come_back_and_stops_nothing(one: Host) -> None:
    one.adopt()
    one.set("gone", "")
    code, said = one.run(one.script(), "undo")
    assert code == 1 and "not there any more, in /srv/theirs" in said
    assert one.taken() and (one.project / "adopted/done").exists()


def test_what_was_only_prepared_is_put_away(one: Host) -> None:
    """Some variables are a channel's: a gateway of its own would speak there beside the other."""
    (one.project / "run/adopt.prepared").write_text("")
    code, said = one.run(one.script(), "undo")
    assert code == 0, said
    assert one.as_before() and not (one.project / "run/adopt.prepared").exists()
    assert not (one.project / ".env").exists()
    (aside,) = one.project.glob(".env.undone-*")
    assert TOKEN in aside.read_text()


def test_a_workspace_that_has_vanished_is_not_done_without(one: Host) -> None:
    (one.state / "workspace").rename(one.state / "elsewhere")
    one.before = one.theirs()
    code, said = one.adopt()
    assert code == 1 and "cannot be copied" in said and one.as_before()


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("unready", "", "did not become ready"),
        (
            "counts-after",
            '{"agents":1,"sessions":2,"cron_jobs":null}',
            r"than the other one \(sessions\)",
        ),
        ("counts-after", "nonsense", "has less than"),
        ("counts", "nonsense", "cannot be counted"),
    ],
)
def test_what_fails_leaves_the_other_one_running_as_before(
    one: Host, name: str, text: str, why: str
) -> None:
    one.set(name, text)
    code, said = one.adopt()
    assert code == 1 and "runs as before" in said
    assert re.search(why, said), said
    assert one.as_before()
    assert not (one.project / ".env").exists(), "a channel may be in it"


def test_a_gateway_that_runs_uses_its_state() -> None:
    assert said(theirs(used="7", running=True)) == []


def test_what_was_changed_meanwhile_stops_nothing(one: Host) -> None:
    (one.state / "openclaw.json").write_text('{"theirs": 2}')
    one.before = one.theirs()
    code, said = one.adopt()
    assert code == 1 and "Nothing was stopped" in said and one.as_before()


@pytest.mark.whole
def test_killed_at_any_step_one_of_both_runs_and_the_next_run_ends_it(tmp_path: Path) -> None:
    whole = Host(tmp_path / "whole")
    assert whole.adopt()[0] == 0
    steps = whole.steps()
    assert steps > 15
    for kill_at in range(1, steps + 1):
        one = Host(tmp_path / str(kill_at))
        one.adopt(kill_at)
        code, said = one.run(one.script(), "recover")
        assert code == 0, said
        assert one.taken() or one.as_before(prepared=True), f"step {kill_at}: {said}"
        assert one.adopt()[0] == 0 and one.taken(), f"step {kill_at}"


@pytest.mark.slow
def test_an_undoing_that_is_killed_is_finished(tmp_path: Path) -> None:
    whole = Host(tmp_path / "whole")
    whole.adopt()
    assert whole.run(whole.script(), "undo")[0] == 0
    for kill_at in range(1, whole.steps() + 1):
        one = Host(tmp_path / str(kill_at))
        one.adopt()
        one.run(one.script(), "undo", kill_at)
        code, said = one.run(one.script(), "undo")
        assert code == 0, said
        assert one.theirs() == one.before, f"step {kill_at}: {said}"
        assert one.says("status") == "exited"


def test_a_link_in_its_place_leads_nowhere(one: Host, tmp_path: Path) -> None:
    """The user whose state it is puts a link there after he was asked."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "openclaw.json").write_text('{"theirs": 1}')
    one.state.rename(one.state.with_name("away"))
    one.state.symlink_to(secret)
    code, said = one.adopt()
    assert code == 1, said
    assert "leads to another place" in said or "changed meanwhile" in said
    assert not (one.config / "agents").exists() and one.says("theirs") == "running"


@pytest.mark.skipif(os.geteuid() != 0, reason="users are root's to make up")
def test_what_is_read_is_read_as_its_owner_who_gets_no_further(one: Host, tmp_path: Path) -> None:
    """Links and FIFOs in the state: the copy has them as they are, and none was followed."""
    for name in STEPS:
        (one.programs / name).unlink()  # which only root may run
    (tmp_path / "of-root").write_text("secret")
    (tmp_path / "of-root").chmod(0o600)
    (one.state / "link").symlink_to(tmp_path / "of-root")
    os.mkfifo(one.state / "fifo")
    for path in (one.state, *one.state.rglob("*")):
        os.chown(path, 1234, 1234, follow_symlinks=False)
    for path in (one.config, one.workspace, one.auth):
        os.chown(path, 58123, 58123)
    (one.config / "openclaw.json").chmod(0o644)
    code, said = one.adopt()
    assert code == 0, said
    assert (one.config / "link").is_symlink() and (one.config / "fifo").is_fifo()
    assert (one.config / "agents/a/store").stat().st_uid == 58123
    assert one.state.stat().st_uid == 1234


@pytest.mark.parametrize(
    ("kind", "condition"), [("system", "ConditionPathExists=!/"), ("user", "ConditionUser=!4321")]
)
def test_a_unit_does_not_start_until_it_is_given_back(
    tmp_path: Path, kind: str, condition: str
) -> None:
    """By a file of root's beside the unit; its own file is as it was."""
    made = templates.render("lifecycle/theirs.sh.j2", socket="/nowhere", answer_seconds=0)
    script = f"""{made}
    name=claw source_kind={kind} source_name=openclaw.service source_uid=4321 source_running=yes
    source_home=/nowhere source_containers= source_port=0
    guard_directory() {{ echo {tmp_path}/openclaw.service.d; }}
    manager() {{ echo "$@" >>{tmp_path}/asked; }}
    theirs_held && theirs_stopped && cp -r {tmp_path}/openclaw.service.d {tmp_path}/held &&
      theirs_freed && theirs_started && theirs_answers
    """
    done = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "held/adopted-by-claw.conf").read_text()
    assert text.splitlines()[1:] == ["[Unit]", condition]
    assert not (tmp_path / "openclaw.service.d").exists()
    asked = (tmp_path / "asked").read_text().splitlines()
    start, stop = "start openclaw.service", "stop openclaw.service"
    assert asked == ["daemon-reload", stop, "daemon-reload", start]


def test_without_systemd_a_unit_is_left_alone(tmp_path: Path) -> None:
    made = templates.render("lifecycle/theirs.sh.j2", socket="/nowhere", answer_seconds=0)
    script = made.replace("/run/systemd/system", f"{tmp_path}/absent") + (
        "\nsystemctl() { exit 1; }\nsource_kind=system source_name=openclaw.service\n"
        "manager daemon-reload && manager stop openclaw.service"
    )
    done = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# What is found


def encoded(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.b64encode(text.encode()).decode()


def container(**changes: Any) -> dict[str, Any]:
    labels = {
        "com.docker.compose.project": "openclaw",
        "com.docker.compose.service": "openclaw-gateway",
        "com.docker.compose.project.working_dir": "/home/anna/openclaw",
    }
    made = {
        "Id": CONTAINER,
        "Image": "sha256:" + "a" * 64,
        "State": {"Running": True},
        "Config": {
            "Labels": labels | changes.pop("labels", {}),
            "Env": [f"OPENCLAW_GATEWAY_TOKEN={TOKEN}", "PATH=/bin", "TZ=UTC"],
        },
        "HostConfig": {
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "PortBindings": {"18789/tcp": [{"HostIp": "", "HostPort": "18789"}]},
        },
        "Mounts": [
            {"Destination": "/home/node/.openclaw", "Source": "/home/anna/.openclaw"},
            {"Destination": "/home/node/.openclaw/workspace", "Source": "/srv/workspace"},
        ],
    }
    return made | changes


IMAGE = {
    "Id": "sha256:" + "a" * 64,
    "Config": {
        "Env": ["PATH=/bin"],
        "Labels": {"org.opencontainers.image.version": "2026.8.2"},
    },
}


def docker(*containers: dict[str, Any]) -> list[Installation]:
    return finding.services(f"containers {encoded(containers)}\nimages {encoded([IMAGE])}\n")


def test_openclaws_own_docker_set_up_is_found() -> None:
    (found,) = docker(container())
    assert (found.kind, found.name, found.where) == ("docker", "openclaw", "/home/anna/openclaw")
    assert found.state == "/home/anna/.openclaw" and found.parts["workspace"] == "/srv/workspace"
    assert found.containers == (Container(CONTAINER, True, "unless-stopped"),)
    assert (found.port, found.address) == (18789, "0.0.0.0")
    assert found.releases == ("2026.8.2",)
    assert found.variables == {"OPENCLAW_GATEWAY_TOKEN": TOKEN, "TZ": "UTC"}
    assert found.named("/home/anna/openclaw/") and found.named("/home/anna/.openclaw")


def test_one_under_its_old_name_is_found() -> None:
    labels = {"com.docker.compose.service": "clawdbot-gateway"}
    mounts = [{"Destination": "/home/node/.clawdbot", "Source": "/home/anna/.clawdbot"}]
    (found,) = docker(container(labels=labels, Mounts=mounts))
    assert found.state == "/home/anna/.clawdbot"
    assert taking_over.moved(Settings(), found)[-1] == (
        "/home/node/.clawdbot",
        "/home/node/.openclaw",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": {"openclaw-pyinfra.project": "0123"}},
        {"labels": {"com.docker.compose.project": "$(reboot)"}},
        {"Id": "-f"},
        {"Mounts": []},
        {"Mounts": [{"Destination": "/home/node/.openclaw", "Source": "/a'b"}]},
        {"Mounts": [{"Destination": "/home/node/.openclaw", "Source": "/a/../etc"}]},
        {"Config": None},
        {"labels": {"com.docker.compose.service": "browser"}},
    ],
)
def test_what_is_ours_or_not_of_its_form_is_not_found(changes: dict[str, Any]) -> None:
    assert docker(container(**changes)) == []


UNIT = """[Unit]
Description=OpenClaw Gateway
[Service]
ExecStart=/usr/bin/node /usr/lib/node_modules/openclaw/dist/index.js gateway --port 18790
EnvironmentFile=-%h/.openclaw/gateway.systemd.env
Environment=HOME=/home/anna
Environment="OPENAI_API_KEY=a b%%c"
Environment=OPENCLAW_SERVICE_VERSION=2026.9.5
"""


def test_the_unit_of_a_user_is_found() -> None:
    answer = (
        f"home 1001 {encoded('/home/anna')}\nunit openclaw-gateway.service {encoded(UNIT)}\n"
        "state .openclaw\nstate .openclaw-work\nactive openclaw-gateway.service active\n"
    )
    first, second = finding.services(answer)
    assert (first.kind, first.uid, first.running, first.port) == ("user", 1001, True, 18790)
    assert first.state == "/home/anna/.openclaw"
    assert first.variable_files == ("/home/anna/.openclaw/gateway.systemd.env",)
    assert first.variables["OPENAI_API_KEY"] == "a b%c" and first.releases == ("2026.9.5",)
    assert (second.kind, second.state) == ("directory", "/home/anna/.openclaw-work")


def test_a_units_words_for_a_home_are_that_home() -> None:
    text = UNIT.replace("HOME=/home/anna", "HOME=%h").replace("a b%%c", "a b%%h")
    found = unit("/home/anna", 1001, "openclaw-gateway.service", text, {}, True)
    assert found.state == "/home/anna/.openclaw"
    assert found.variables["OPENAI_API_KEY"] == "a b%h"
    assert found.variable_files == ("/home/anna/.openclaw/gateway.systemd.env",)


def test_a_unit_of_the_system_is_its_users() -> None:
    text = UNIT.replace("[Service]", "[Service]\nUser=openclaw").replace("/home/anna", "/opt/home")
    (found,) = finding.services(
        f"system openclaw.service {encoded(text)}\nactive openclaw.service inactive\n"
        "passwd openclaw 997 /opt/home\n"
    )
    assert (found.kind, found.uid, found.running) == ("system", 997, False)
    assert found.state == "/opt/home/.openclaw"


@pytest.mark.parametrize(
    "line",
    [
        "unit $(x).service YQ==",
        "unit openclaw-gateway.service YQ==",  # of no home
        "home 1001 " + encoded("/home/$(x)") + "\nunit openclaw-gateway.service YQ==",
        "home x " + encoded("/home/anna") + "\nstate .openclaw",
        "passwd a b /c",
        "containers nonsense\nimages\nstate\nactive\npasswd\nhome",
        "containers " + encoded([[], 3, None]),
    ],
)
def test_what_a_user_says_in_another_form_is_left_out(line: str) -> None:
    assert finding.services(line) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts are root's")
def test_what_a_container_has_open_is_in_use(tmp_path: Path) -> None:
    """It has the state at another place, or what the state is in: its files have other names."""
    state, inside = tmp_path / "home of anna/.openclaw", tmp_path / "inside"
    state.mkdir(parents=True)
    inside.mkdir()
    (state / "db").write_text("")
    place = {"number": 0, "state": str(state), "uid": "-", "parts": [], "variables": ()}
    script = templates.render("lifecycle/states.sh.j2", places=[place], limit=1 << 20, roots=["/"])

    def used() -> str:
        said = subprocess.run(["sh"], input=script, capture_output=True, text=True, timeout=60)
        ((found,), _) = finding.known([finding.directory(str(state))], said.stdout)
        return found.used

    assert used() == ""
    for mounted, file in ((state, inside / "db"), (state.parent, inside / ".openclaw/db")):
        command = 'mount --bind "$1" "$2" && exec 3<"$3" && echo there && exec cat'
        container = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", command, "sh", mounted, inside, file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with container:
            assert container.stdout and container.stdout.readline() == b"there\n"
            assert used() == str(container.pid)
            container.communicate(b"")


def test_the_question_reads_what_a_host_has(tmp_path: Path) -> None:
    """Both questions, asked for real of directories."""
    state = tmp_path / "state"
    (state / "workspace").mkdir(parents=True)
    (state / "openclaw.json").write_text("{}")
    os.mkfifo(state / ".env")
    place = {
        "number": 0,
        "state": str(state),
        "uid": "-",
        "parts": [("workspace", f"{state}/workspace"), ("auth", f"{tmp_path}/absent")],
        "variables": (),
    }
    script = templates.render(
        "lifecycle/states.sh.j2", places=[place], limit=1 << 20, roots=[str(tmp_path / "a/b")]
    )
    said = subprocess.run(["sh"], input=script, capture_output=True, text=True, timeout=60)
    ((found,), free) = finding.known([finding.directory(str(state))], said.stdout)
    assert found.files == {"openclaw.json": b"{}"}
    assert "not a regular file" in found.refused[".env"]
    assert found.sizes["state"] and found.sizes["workspace"] and free[0] > 0
    script = templates.render(
        "lifecycle/installations.sh.j2",
        docker=Script("has_docker() { false; }\n"),
        socket="/nowhere",
        names=finding.NAMES,
        limit=1 << 20,
    )
    said = subprocess.run(["sh"], input=script, capture_output=True, text=True, timeout=120)
    assert "passwd root 0 /root" in said.stdout and not said.stderr
    finding.services(said.stdout)


# What becomes of it


def theirs(configuration: Any = None, **changes: Any) -> Installation:
    text = configuration if isinstance(configuration, str) else json.dumps(configuration or {})
    made: dict[str, Any] = {
        "kind": "user",
        "name": "openclaw-gateway.service",
        "where": "/home/anna/.config/systemd/user/openclaw-gateway.service",
        "state": "/home/anna/.openclaw",
        "inside": "/home/anna/.openclaw",
        "uid": 1001,
        "home": "/home/anna",
        "files": {"openclaw.json": text.encode()},
        "sizes": {"state": 1000},
        "parts": {"workspace": "/home/anna/.openclaw/workspace"},
        "variables": {"OPENCLAW_GATEWAY_TOKEN": TOKEN},
    }
    return Installation(**(made | changes))


def said(one: Installation, free: int = 1 << 30, **settings: Any) -> list[str]:
    wanted = Settings.model_validate(settings)
    return [problem.what for problem in taking_over.problems(wanted, one, [free])]


def test_paths_become_those_of_the_gateway() -> None:
    agents = {
        "defaults": {"workspace": "/home/anna/clawd"},
        "entries": {"a": {"agentDir": "~/.openclaw/agents/a/agent", "workspace": "/srv/a"}},
    }
    ours = json.loads(taking_over.as_ours(Settings(), theirs({"agents": agents})))["agents"]
    assert ours["defaults"]["workspace"] == "/home/node/.openclaw/workspace"
    assert ours["entries"]["a"]["agentDir"] == "/home/node/.openclaw/agents/a/agent"
    assert ours["entries"]["a"]["workspace"] == "/srv/a"
    assert any("/srv/a" in what for what in said(theirs({"agents": agents})))


def test_token_and_variables_are_kept_under_todays_names() -> None:
    old = theirs(
        variables={
            "CLAWDBOT_GATEWAY_TOKEN": TOKEN,
            "TELEGRAM_BOT_TOKEN": "a'b $c",
            "HOME": "/x",
            "EMPTY": "",
        }
    )
    text = taking_over.environment(old, "OTHER=1\n")
    assert f"OPENCLAW_GATEWAY_TOKEN={TOKEN}" in text and "OTHER=1" in text
    assert taking_over.dotenv.values(text)["TELEGRAM_BOT_TOKEN"] == "a'b $c"
    assert "HOME" not in text and "EMPTY" not in text and "CLAWDBOT" not in text
    assert taking_over.environment(old, text) == text


@pytest.mark.parametrize(
    ("gateway", "files"),
    [
        ({"auth": {"token": {"source": "env", "provider": "default", "id": "MINE"}}}, "MINE"),
        ({"auth": {"token": "${MINE}"}}, "MINE"),
        ({}, "OPENCLAW_GATEWAY_TOKEN"),
    ],
)
def test_the_token_is_found_where_it_is(gateway: Any, files: str) -> None:
    one = theirs({"gateway": gateway}, variables={})
    one = Installation(**{**vars(one), "files": {**one.files, ".env": f"{files}={TOKEN}".encode()}})
    assert taking_over.token(one) == TOKEN


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (theirs(gone=True), "no directory"),
        (theirs(files={}), "has no openclaw.json"),
        (theirs("nonsense {"), "not JSON5"),
        (theirs({"$include": "./more.json"}), "includes other files"),
        (theirs({"meta": {"lastTouchedVersion": "2099.1.1"}}), "later than"),
        (theirs(used="7, 9"), "processes use"),
        (theirs(unreadable="./a\x1bb"), "may not read './a\\x1bb'"),
        (theirs(sizes={"state": None}), "cannot be measured"),
        (theirs(sizes={"state": 1 << 31}), "no room"),
        (theirs(variables={"OPENCLAW_GATEWAY_TOKEN": "short"}), "its token has 5 characters"),
        (theirs(refused={"openclaw.json": "it is a fifo"}), "it is a fifo"),
        (
            theirs({"gateway": {"controlUi": {"allowedOrigins": ["https://claw.example"]}}}),
            "https://claw.example",
        ),
        (theirs(kind="docker", name="openclaw"), "its Compose project is openclaw"),
    ],
)
def test_what_cannot_be_taken_over_is_said(one: Installation, why: str) -> None:
    (what,) = said(one)
    assert why in what
    assert TOKEN not in what


def test_origins_and_releases_that_the_settings_have_are_no_problem() -> None:
    origins = ["https://claw.example", "http://localhost:18789", "http://127.0.0.1:9"]
    one = theirs({"gateway": {"controlUi": {"allowedOrigins": origins}}})
    assert said(one, gateway={"allowed_origins": ["https://claw.example"]}) == []


def test_a_unit_with_nothing_in_it_is_still_one() -> None:
    found = unit("/home/anna", 1001, "clawdbot-gateway.service", "", {}, False)
    assert found.state == "/home/anna/.clawdbot" and found.port == 0


def answered(monkeypatch: pytest.MonkeyPatch, *there: Installation) -> list[str]:
    monkeypatch.setattr(finding, "found", lambda settings, source: (list(there), [1 << 30]))
    monkeypatch.setattr(adoption, "_sources", SimpleNamespace(get=lambda state: None))
    with at(Settings()) as host:
        found = [problem.what for problem in adoption.problems(Settings())]
        if not found:
            assert host.connector_data[conflicts._LEAVING] == 18789
    return found


def test_what_is_prepared_is_written_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both commands, run for real, twice; openclaw.json by the owner of its directory."""
    project, config = tmp_path / "opt", tmp_path / "config"
    (project / "run").mkdir(parents=True)
    config.mkdir()
    directories = {"project": str(project), "config": str(config)}
    settings = Settings.model_validate({"directories": directories})
    one = theirs({"agents": {"defaults": {"workspace": "/home/anna/.openclaw/workspace"}}})
    monkeypatch.setattr(adoption, "_chosen", lambda settings: (one, []))
    for _ in range(2):
        there = (project / ".env").read_bytes() if (project / ".env").exists() else None
        kept = host_secrets.Private(there, None)
        monkeypatch.setattr(host_secrets, "read", lambda settings, kept=kept: kept)
        for command in commands(adoption.prepared, {}, settings=settings):
            assert TOKEN not in command
            done = subprocess.run(
                ["sh", "-c", command], input=command.stdin, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
    assert f"OPENCLAW_GATEWAY_TOKEN={TOKEN}" in (project / ".env").read_text()
    made = json.loads((config / "openclaw.json").read_text())
    assert made["agents"]["defaults"]["workspace"] == "/home/node/.openclaw/workspace"
    assert (config / "openclaw.json").stat().st_mode & 0o777 == 0o600
    assert (project / ".env").stat().st_mode & 0o777 == 0o600


def test_what_was_only_prepared_can_be_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption.power, "last_line", lambda settings, job: "")
    (undo,) = commands(adoption.given_back, {"adopted": "prepared"}, settings=Settings())
    assert undo.endswith("adopt.sh undo")
    assert commands(adoption.given_back, {"adopted": ""}, settings=Settings()) == []


def test_a_whole_script_is_one_that_a_shell_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the operations yield it: what activates, and what takes over."""
    monkeypatch.setattr(adoption, "_chosen", lambda settings: (theirs(), []))
    monkeypatch.setattr(adoption.power, "last_line", lambda settings, job: "")
    first, second = commands(adoption.taken_over, {}, settings=Settings())
    for command in (first, second):
        done = subprocess.run(["sh", "-n"], input=command.stdin, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert first.endswith("]") and second.endswith("adopt.sh adopt")
    (undo,) = commands(
        adoption.given_back,
        {"adopted": "done\nsource\n'/home/anna/.openclaw'"},
        settings=Settings(),
    )
    assert undo.endswith("adopt.sh undo") and "theirs_back" in undo.stdin


def test_one_is_taken_over_and_of_several_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = theirs(port=18789, running=True), theirs(state="/srv/other", port=18789)
    assert answered(monkeypatch, one) == []
    assert "no OpenClaw is found" in answered(monkeypatch)[0]
    (what,) = answered(monkeypatch, one, other)
    assert "2 are here" in what and "/srv/other" in what


def test_what_another_run_left_unfinished_stops_an_up() -> None:
    from operations import activation

    checks = preflight.registered()
    assert activation.adoption_interrupted in checks
    assert activation.adoption_interrupted not in preflight.registered(
        activation.adoption_interrupted
    )
    for left in ("adopting", "adopt.prepared"):
        with at(Settings(), gateway=f"unfinished {left}"):
            (problem,) = activation.adoption_interrupted(Settings())
        assert "./claw adopt" in problem.fix


def test_what_a_record_says() -> None:
    parse = adoption.Adopted.parse
    assert parse([]) == adoption.Adopted()
    assert parse(["done", "source", "'/home/a b/.openclaw'"]).done
    assert parse(["done", "source", "/x"]).state == "/x"
    assert parse(["done", "adopting", "source"]).unfinished
    assert parse(["source"]).unfinished and parse(["prepared"]).prepared


def test_a_configuration_that_is_ours_is_not_replaced() -> None:
    with at(Settings(), **{"existing-state": "entry openclaw.json"}):
        found = next(iter(adoption.problems(Settings())))
    assert "has a configuration already" in found.what
