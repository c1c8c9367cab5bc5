"""Facts in, commands out: the kernel profiles on a host."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shlex import quote
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations import engine_access
from operations.base import files, notes, templates
from operations.security import apparmor, seccomp
from operations.security import stage as security
from operations.security.stage import KINDS
from tests.operations.hosts import FakeHost, commands, knowing
from toolkit.settings import Settings

LOADED = "available\n" + "\n".join(f"openclaw-{kind} (enforce)" for kind in KINDS)
Answers = dict[str, str]


def settings(**sandbox: Any) -> Settings:
    return Settings.model_validate({"sandbox": sandbox})


def host(apparmor_answer: str = "", *, without: str = "", **contents: str) -> Answers:
    """A host with every file as it should be, but `contents`, and `without` one."""
    wanted = {
        security.seccomp_path(settings().security_directory, kind): seccomp.render(kind)
        for kind in KINDS
    }
    for kind, content in contents.items():
        wanted[security.seccomp_path(settings().security_directory, kind)] = content  # type: ignore[arg-type]
    if apparmor_answer:
        wanted[apparmor.path(settings())] = apparmor.render(settings())
    found = [
        f"regular file|644|0:0|{files.digest(content)}|{path}"
        for path, content in wanted.items()
        if path != without
    ]
    return {"files": "\n".join(found), "apparmor": apparmor_answer}


def test_a_host_without_profiles_gets_them_once_the_engine_has_used_them() -> None:
    (command,) = commands(
        security.system_calls, {"files": "", "apparmor": ""}, host(), settings=settings()
    )
    script = command.stdin
    for kind in KINDS:
        assert quote(seccomp.render(kind)) in script
        replaced = script.index(f'mv -f "$directory"/.seccomp-{kind}.json')
        assert script.rindex("accept browser") < replaced
    assert "docker run" in script


def test_only_what_differs_is_tried_and_replaced() -> None:
    (command,) = commands(security.system_calls, host(tools="{}\n"), host(), settings=settings())
    assert "accept tools" in command.stdin and "accept gateway" not in command.stdin


def test_profiles_as_they_should_be_are_left_alone() -> None:
    assert commands(security.system_calls, host(), settings=settings()) == []


def test_the_engine_s_own_filter_needs_no_files() -> None:
    wanted = settings(seccomp="engine")
    assert commands(security.system_calls, {"files": ""}, settings=wanted) == []
    with ctx_host.use(known({"apparmor": ""})):
        assert security.Profiles(wanted, "gateway").options == []


def test_apparmor_profiles_are_loaded_where_the_kernel_has_apparmor() -> None:
    bare = host("available", without=apparmor.path(settings()))
    (command,) = commands(security.apparmor_loaded, bare, host(LOADED), settings=settings())
    assert quote(apparmor.render(settings())) in command.stdin
    assert commands(security.apparmor_loaded, host(LOADED), settings=settings()) == []


def test_profiles_that_a_reboot_lost_are_loaded_again() -> None:
    lost = host("available\nopenclaw-tools (enforce)")
    assert len(commands(security.apparmor_loaded, lost, host(LOADED), settings=settings())) == 1


@pytest.mark.parametrize("answer", ["", "available\nunused", f"{LOADED}\ndisabled"])
def test_without_apparmor_in_kernel_and_engine_there_is_no_profile_and_no_name_of_one(
    answer: str,
) -> None:
    bare = host(answer, without=apparmor.path(settings()))
    assert commands(security.apparmor_loaded, bare, settings=settings()) == []
    with ctx_host.use(known(bare)):
        assert security.Profiles(settings(), "tools").apparmor is None


def test_profiles_that_are_not_wanted_any_more_are_not_loaded_at_the_next_boot() -> None:
    wanted = settings(apparmor="off")
    (command,) = commands(security.apparmor_loaded, host(LOADED), host(), settings=wanted)
    assert command == f"rm -f {apparmor.path(wanted)}"
    with ctx_host.use(known(host(LOADED))):
        assert not any("apparmor" in one for one in security.Profiles(wanted, "gateway").options)


@pytest.mark.parametrize(
    ("wanted", "answer", "refused"),
    [
        ({"apparmor": "required"}, "", "the kernel has no AppArmor"),
        ({"apparmor": "required"}, "available\nunused", "the engine makes no use of"),
        ({"apparmor": "required"}, f"{LOADED}\ndisabled", "apparmor.service, which loads"),
        (
            {"apparmor": "required", "enabled": True, "socket": "rootless"},
            LOADED,
            "an engine without root cannot",
        ),
        ({"apparmor": "required"}, LOADED, None),
        ({}, "", None),
    ],
)
def test_apparmor_that_is_required_must_be_there(
    wanted: dict[str, Any], answer: str, refused: str | None
) -> None:
    with ctx_host.use(known(host(answer))):
        problems = list(security.apparmor_problems(settings(**wanted)))
    assert bool(problems) == bool(refused)
    if refused:
        assert f"sandbox.apparmor is required, but {refused}" in problems[0].what


@pytest.mark.parametrize(
    ("wanted", "answer", "said"),
    [
        ({"socket": "rootless"}, LOADED, security.NO_PROFILES),
        ({"socket": "rootless"}, "", None),
        ({"socket": "rootless", "apparmor": "off"}, LOADED, None),
        ({"socket": "socket"}, LOADED, None),
    ],
)
def test_the_summary_says_what_protects_where_the_kernels_apparmor_cannot_be_used(
    wanted: dict[str, Any], answer: str, said: str | None
) -> None:
    there = known(host(answer))
    with ctx_host.use(there):
        assert list(security.apparmor_problems(settings(enabled=True, **wanted))) == []
        assert notes.of(ctx_host.get()).apparmor == said


def test_a_gateway_is_made_again_for_another_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    with ctx_host.use(known(host())):
        before = security.Profiles(settings(), "gateway").digest
        monkeypatch.setattr(seccomp, "render", lambda _: "{}\n")
        assert security.Profiles(settings(), "gateway").digest != before


def known(answers: Answers) -> FakeHost:
    """A host in the phase in which a snapshot stays valid."""
    return knowing(FakeHost(executing=False), **answers)


@pytest.mark.skipif(os.geteuid() != 0, reason="the script gives files to root")
@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ("exit 125", "the engine can start no containers on this host, plain ones neither"),
        ("echo Seccomp: 2", "the engine cannot use the system call profile gateway"),
    ],
)
def test_a_host_that_starts_no_container_is_not_blamed_on_the_profile(
    tmp_path: Path, plain: str, said: str
) -> None:
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f"""#!/bin/sh
case "$*" in
  *seccomp=*) echo 'runc create failed: operation not permitted' >&2; exit 125 ;;
  run*) echo 'runc create failed: operation not permitted' >&2; {plain} ;;
  import*) cat >/dev/null ;;
esac
""")
    docker.chmod(0o755)
    there = tmp_path / "security"
    script = templates.render(
        "security/seccomp.sh.j2",
        docker=engine_access.environment(Settings()),
        name="openclaw",
        directory=str(there),
        profiles={"gateway": "{}"},
    )
    done = subprocess.run(
        ["sh"],
        input=script,
        env={"PATH": f"{docker.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and said in done.stderr, done.stderr
    assert "operation not permitted" in done.stderr
    assert not list(there.iterdir())
