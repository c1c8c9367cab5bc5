"""Facts in, commands out: a gateway that is a service of the host."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pyinfra.context import ctx_host

from operations import activation, verification
from operations.base import files, snapshot
from operations.configuration import agents
from operations.configuration import stage as configuration
from operations.engine import access_problems
from operations.engine_access import EngineWay
from operations.gateway import compose, form, host_secrets, service
from tests.operations.hosts import FakeHost, commands
from toolkit.settings import Settings
from toolkit.settings.contradictions import general as contradictions

ACCESS = "lacking=\nown-engine=\ncgroup2=\nuser=990:989\nsubuid=524288\nsubgid=524288\n"
OWNER = "525287:525287"


def settings(**values: Any) -> Settings:
    sandbox = {"enabled": True, "socket": "host", **values.pop("sandbox", {})}
    return Settings.model_validate({"sandbox": sandbox, **values})


@contextmanager
def on(**answers: str) -> Iterator[FakeHost]:
    host = FakeHost({"access": ACCESS, **answers})
    original, snapshot.settings_for = snapshot.settings_for, lambda host: settings()
    try:
        with ctx_host.use(host):
            yield host
    finally:
        snapshot.settings_for = original


@pytest.fixture(autouse=True)
def without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_secrets, "read", lambda settings: host_secrets.Private(None, None, {}))


def problems(wanted: Settings, answer: str) -> list[str]:
    with on(access=answer):
        return [problem.what for problem in access_problems.problems(wanted)]


# Which form


def test_the_gateway_has_an_engine_without_root_and_no_warning() -> None:
    with on():
        assert EngineWay(settings()).form == "host"
        assert EngineWay(settings()).socket == "/run/openclaw-engine/docker.sock"
        assert EngineWay(settings()).owner() == OWNER
        assert list(access_problems.warnings(settings())) == []


def test_nothing_is_moved_from_one_form_to_another() -> None:
    (container,) = problems(settings(), ACCESS + "deployed=\n")
    assert "the deployment's gateway is a container" in container
    for socket in ("auto", "rootless", "socket"):
        (there,) = problems(settings(sandbox={"socket": socket}), ACCESS + "service=\n")
        assert "the gateway is a service of the host (openclaw-gateway.service)" in there
    assert problems(settings(), ACCESS + "service=\n") == []
    (foreign,) = problems(settings(), ACCESS + "foreign=\n")
    assert "is there and not the toolkit's" in foreign
    assert problems(settings(sandbox={"socket": "rootless"}), ACCESS + "foreign=\n") == []


def test_a_host_without_systemd_is_refused_with_one_problem() -> None:
    (problem,) = problems(settings(), ACCESS.replace("lacking=", "lacking=systemd"))
    assert "systemd" in problem


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"gateway": {"address": "10.0.0.5"}}, "gateway.address"),
        ({"home_volume": "home"}, "home_volume"),
        ({"sandbox": {"browser": {"enabled": True}}}, "sandbox.browser.enabled"),
        ({"sandbox": {"workspace_root": "/data"}}, "sandbox.workspace_root"),
    ],
)
def test_what_this_form_cannot_have_is_refused(values: dict[str, Any], key: str) -> None:
    assert key in [found.keys[0] for found in contradictions.problems(settings(**values))]


# The unit


def unit(wanted: Settings) -> list[str]:
    with on():
        return service.unit(wanted).content.splitlines()


def test_the_service_is_closed() -> None:
    lines = unit(settings())
    for line in (
        "User=openclaw-gateway",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "PrivateDevices=yes",
        "RestrictNamespaces=yes",
        "UMask=0077",
        "SystemCallArchitectures=native",
    ):
        assert line in lines
    assert not [line for line in lines if "SupplementaryGroups" in line]
    (calls,) = (line.split("=")[1].split() for line in lines if line.startswith("SystemCallFilter"))
    assert "openat2" in calls and not {"mount", "ptrace", "bpf", "unshare"} & set(calls)


def test_the_engine_finds_state_and_workspace_at_the_gateways_paths() -> None:
    lines = unit(settings())
    assert "BindPaths=/var/lib/openclaw/config" in lines
    assert "BindPaths=/var/lib/openclaw/workspace" in lines
    assert 'Environment="OPENCLAW_STATE_DIR=/var/lib/openclaw/config"' in lines
    with on():
        owned = configuration.owned(settings())
    assert owned["agents"]["defaults"]["workspace"] == "/var/lib/openclaw/workspace"
    known = agents.of(settings(), {})
    added = known.merged({"second": {}})["entries"]
    assert added["second"]["workspace"] == "/var/lib/openclaw/config/workspace-second"
    assert added["main"]["workspace"] == "/var/lib/openclaw/workspace"


def test_it_listens_where_it_is_told() -> None:
    with on():
        assert configuration.owned(settings())["gateway"]["bind"] == "loopback"
        open_to_all = settings(gateway={"address": "0.0.0.0"})
        assert configuration.owned(open_to_all)["gateway"]["bind"] == "lan"
    command = "ExecStart=/usr/local/bin/openclaw gateway --bind loopback --port 18789"
    assert command in unit(settings())


def test_limits_and_mounts_are_those_of_the_settings() -> None:
    lines = unit(
        settings(
            gateway={"memory": "4g", "cpus": 1.5, "pids_limit": 700},
            extra_mounts=["/srv/a:/data/a:ro", "/srv/b:/data/b"],
        )
    )
    assert {"MemoryMax=4294967296", "CPUQuota=150%", "TasksMax=700"} <= set(lines)
    assert {"BindReadOnlyPaths=/srv/a:/data/a", "BindPaths=/srv/b:/data/b"} <= set(lines)


def test_a_percent_sign_is_no_specifier_of_systemd() -> None:
    lines = unit(settings(gateway={"environment": {"FORMAT": '50% "x"'}}))
    assert 'Environment="FORMAT=50%% \\"x\\""' in lines


# Operations


def written(there: dict[str, str]) -> list[Any]:
    return commands(service.configured, {"access": ACCESS, **there}, settings=settings())


def test_the_user_and_the_unit_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = written({})
    assert f"uid={OWNER.split(':')[0]}" in command.stdin
    assert "mv -fT /opt/openclaw/openclaw-gateway.service.new" in command.stdin
    assert "last-good" not in command.stdin
    monkeypatch.setattr(files, "differs", lambda file: file.path.endswith("exec.sh"))
    (command,) = written({"service": OWNER})
    assert "last-good/exec.sh" in command.stdin.replace("$last_good", "last-good")
    monkeypatch.setattr(files, "differs", lambda file: False)
    assert written({"service": OWNER}) == []
    assert len(written({"service": "1001:1001"})) == 1


def test_there_is_no_compose_project() -> None:
    assert commands(compose.configured, {"access": ACCESS}, settings=settings()) == []
    assert commands(service.configured, {}, settings=Settings()) == []


def test_the_scripts_are_shell_in_both_forms() -> None:
    for wanted in (settings(), Settings()):
        with on():
            scripts = [form.shell(wanted), activation.script(wanted)]
            scripts.append(verification.script(wanted, judges=True))
            if wanted.gateway_on_host:
                scripts.append(service.program(wanted).content)
        for script in scripts:
            done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr


def test_openclaw_json_is_merged_by_who_owns_it_in_the_engine() -> None:
    """An engine without root knows none of the host's ids."""
    for socket in ("host", "rootless"):
        with on():
            script = configuration.script(settings(sandbox={"socket": socket}))
        assert "\nuid=1000\n" in script and "uid=$(stat" not in script
    with on():
        assert "uid=$(stat" in configuration.script(Settings())


# Verification


def test_a_unit_that_was_opened_is_named() -> None:
    with on():
        shown = service.hardening(settings(), {}, "", {})
        found = {key: wanted for key, (_, wanted) in shown.items()}
        there = activation.Running(status="running", host_config=found)
        assert [check.outcome for check in verification.hardening(there, settings())] == ["ok"]
        there = activation.Running(
            status="running", host_config={**found, "process.CapEff": "00000000000000c0"}
        )
        (check,) = verification.hardening(there, settings())
    assert check.outcome == "failed" and "process.CapEff" in check.detail


def test_every_path_that_the_settings_take_is_one_path_to_systemd() -> None:
    """systemd's words in quotes are a shell's here: no path may hold a quote or a backslash."""
    odd = "/srv/a b;c %t %% #x & (y) *[z] é !{w}"
    wanted = settings(extra_mounts=[f"{odd}:/mnt{odd}:ro"])
    with on():
        unit = service.unit(wanted).content
        program = service.program(wanted).content
    (line,) = [line for line in unit.splitlines() if "/mnt/srv" in line]
    key, _, value = line.partition("=")
    assert key == "BindReadOnlyPaths"
    assert shlex.split(value.replace("%%", "%"), comments=False) == [f"{odd}:/mnt{odd}"]
    (argument,) = [line for line in program.splitlines() if "/mnt/srv" in line]
    (word,) = shlex.split(argument.rstrip("\\"))
    assert word == f'--property=BindReadOnlyPaths="{odd}":"/mnt{odd}"'
    for character in '"\\\n':
        with pytest.raises(ValidationError):
            settings(extra_mounts=[f"/srv/a{character}b:/c"])


# A tree that an image filled


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        ("mkdir -p etc home/node; echo root:x:0:0 >etc/passwd; echo root:x:0: >etc/group", None),
        (":", None),
        ("mkdir etc; ln -s nowhere etc/passwd.new; ln -s ../out/f etc/group.new", None),
        ("ln -s ../out etc", "/etc"),
        ("mkdir etc; ln -s ../../out/shadow etc/passwd", "/etc/passwd"),
        ("mkdir etc; ln -s ../../out/new etc/group", "/etc/group"),
        ("mkdir etc; mkfifo etc/passwd", "/etc/passwd"),
        ("ln -s ../out home", "/home"),
        ("mkdir home; ln -s ../../out/x home/node", "/home/node"),
        ("mkdir home; mkfifo home/node", "/home/node"),
    ],
)
def test_no_link_of_an_image_leads_out_of_its_tree(
    made: str, refused: str | None, tmp_path: Path
) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    tree.mkdir()
    out.mkdir()
    (out / "shadow").write_text("root:!\n")
    with on():
        functions = form.shell(settings())
    ids = "id() { echo 525287; }"
    script = f"{functions}\n{ids}\n(cd {tree}; {made}) && add_user {tree}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=20)
    assert [path.name for path in out.iterdir()] == ["shadow"]
    assert (out / "shadow").read_text() == "root:!\n"
    if refused:
        assert done.returncode and f"something else at {refused}," in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        user = "openclaw-gateway:x:525287:525287::/home/node:/bin/sh\n"
        assert (tree / "etc/passwd").read_text().endswith(user)
        assert (tree / "etc/group").read_text().endswith("openclaw-gateway:x:525287:\n")
        assert (tree / "home/node").is_dir()


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("sha256:" + "a" * 64, "a" * 16),
        ("sha256:x\nExecStartPre=+/bin/touch /owned\n#", None),
        ("sha256:../../../../../tmp", None),
        ("sha256:" + "a" * 64 + "\nExecStartPre=+/bin/touch /owned", "a" * 16),
    ],
)
def test_an_engine_without_root_writes_no_line_of_roots_unit(
    said: str, taken: str | None, tmp_path: Path
) -> None:
    with on():
        functions, wanted = form.shell(settings()), service.unit(settings())
    unit, made = tmp_path / "made.service", tmp_path / "wanted.service"
    made.write_text(wanted.content)
    script = functions.replace(shlex.quote(wanted.path), shlex.quote(str(made)))
    script += f"""
docker() {{ printf '%s\\n' "$SAID"; }}
systemctl() {{ :; }}
lay_out() {{ echo "/trees/$(echo "${{1#sha256:}}" | cut -c1-16)"; }}
installed={unit}
gateway_start"""
    done = subprocess.run(
        ["sh", "-c", script], env={**os.environ, "SAID": said}, capture_output=True, timeout=20
    )
    assert (done.returncode == 0) == (taken is not None)
    if taken:
        text = unit.read_text()
        assert f"RootDirectory=/trees/{taken}\n" in text
        assert "ExecStartPre" not in text
    else:
        assert not unit.exists()


# What was started


def test_what_was_started_is_roots_word_and_not_the_gateways(tmp_path: Path) -> None:
    """The gateway's user can write what he likes over the environment of his process."""
    with on():
        functions, wanted = str(form.shell(settings())), service.unit(settings())
    made, unit, trees = (tmp_path / name for name in ("wanted", "unit", "trees"))
    made.write_text(wanted.content)
    functions = functions.replace(shlex.quote(wanted.path), shlex.quote(str(made)))
    lies = {"OPENCLAW_PYINFRA_IMAGE": "sha256:lie", "OPENCLAW_PYINFRA_INPUTS": "lie"}
    with subprocess.Popen(["sleep", "60"], env={**os.environ, **lies}) as gateway:
        script = f"""{functions}
docker() {{ echo "$ID"; }}
systemctl() {{
  case $*:$RESTARTS in *MainPID*) echo {gateway.pid} ;; restart*:no) return 1 ;; esac
}}
lay_out() {{ echo /trees/x; }}
installed={unit} trees={trees}
said() {{ echo "$(gateway_image) $(gateway_label)"; }}
"""

        def run(lines: str, letter: str, restarts: str = "yes") -> str:
            variables = {"ID": f"sha256:{letter * 64}", "RESTARTS": restarts}
            return subprocess.run(
                ["sh", "-c", f"{script}\n{lines}"],
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                timeout=20,
            ).stdout.strip()

        try:
            with on():
                label = service.inputs(settings())
            assert run("said", "a") == ""
            assert run("gateway_start; said", "a") == f"sha256:{'a' * 64} {label}"
            assert run("said", "b") == f"sha256:{'a' * 64} {label}"
            # Cut off before the restart: what runs is still the first one.
            assert run("gateway_start; said", "b", "no") == f"sha256:{'a' * 64} {label}"
            assert run("gateway_start; said", "b") == f"sha256:{'b' * 64} {label}"
            assert (trees / "started").stat().st_uid == os.geteuid()
            assert trees.stat().st_mode & 0o77 == 0
            # An earlier release of the toolkit wrote nothing down: the unit is root's as well.
            (trees / "started").unlink()
            assert run("said", "c") == f"sha256:{'b' * 64} {label}"
        finally:
            gateway.kill()
