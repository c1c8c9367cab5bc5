"""What makes backups: settings, what is written to the host, and the script there, with a
repository and an engine that are played."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pyinfra.context import ctx_host

from operations.backup import listing, stage
from operations.base import files, templates
from tests.operations.hosts import FakeHost, at
from toolkit import credentials, patterns
from toolkit.settings import Settings
from toolkit.settings.contradictions import general

UID = 4711
RESTIC = """#!/bin/sh
[ "$1" != --quiet ] || shift
[ "$1" != --no-lock ] || shift
echo "$*" >>{log}
case $1 in
  cat)
    [ ! -e {there}/wrong ] || { echo 'Fatal: wrong password or no key found' >&2; exit 1; }
    [ -e {there}/config ] || {
      echo 'Fatal: unable to open config file: stat: no such file or directory'
      echo 'Is there a repository at the following location?'
      exit 1
    } >&2
    cat {there}/config ;;
  init)
    printf '{{\\n "version": 2,\\n "id": "%064d",\\n "x": "y"\\n}}\\n' "$(cat {there}/number)" \\
      >{there}/config ;;
  backup)
    [ ! -e {there}/locked ] || {
      echo 'unable to create lock in backend: repository is already locked exclusively by PID 7 on'
      exit 1
    } >&2
    [ ! -e {there}/full ] || { echo 'Fatal: no space left' >&2; exit 1; }
    rm -rf {there}/sent && cp -a . {there}/sent
    echo '{{"message_type":"summary","snapshot_id":"0123abcd"}}' ;;
  dump) [ ! -e {there}/damaged ] && cat {there}/sent"$3" ;;
  snapshots) echo '{listed}' ;;
esac
"""
DOCKER = """#!/bin/sh
case "$1 $2" in
  "compose run") {made} ;;
  "image inspect") echo 2026.9.6 ;;
esac
"""
LISTED = [
    {
        "time": "2026-11-29T12:00:00.5Z",
        "tags": ["openclaw-openclaw", "release=2026.9.6", "bytes=10"],
        "short_id": "0123abcd",
        "hostname": "vm",
    }
]
MADE = """
    mkdir -p {auth}/.backup && echo archive >{auth}/.backup/state.tar
    echo '{{"agents":1,"sessions":2,"cron_jobs":null}}' >{auth}/.backup/counts.json
    chown -R {uid} {auth}/.backup"""


def given(**backup: Any) -> dict[str, Any]:
    return {"repository": "/srv/backups", "password": {"env": "BACKUP_PASSWORD"}, **backup}


class Deployed:
    """The script of a deployment whose directories, repository and engine are in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.project = directory, directory / "opt"
        self.auth, self.there = directory / "lib/auth", directory / "repository"
        self.work, self.log = directory / "lib/backup", directory / "restic.log"
        programs = directory / "bin"
        for path in (
            self.project / "backup",
            self.project / "run",
            self.auth,
            self.there,
            programs,
        ):
            path.mkdir(parents=True)
        os.chown(self.auth, UID, UID)
        (self.auth / "key").write_text("the key of profiles\n")
        (self.there / "number").write_text("1")
        for name, content in {
            "docker-compose.yml": "services: {}\n",
            ".env": "OPENCLAW_GATEWAY_TOKEN=0123456789abcdef0123456789abcdef\n",
            "settings.json": "{}\n",
            "backup/secrets.sh": "export RESTIC_REPOSITORY=/srv/backups RESTIC_PASSWORD=unseen\n",
        }.items():
            (self.project / name).write_text(content)
        self.programs = {"restic": RESTIC, "docker": DOCKER}
        self.made = MADE

    def run(self, mode: str = "create") -> subprocess.CompletedProcess[str]:
        words = {
            "{log}": str(self.log),
            "{listed}": json.dumps(LISTED),
            "{there}": str(self.there),
            "{made}": self.made,
            "{auth}": str(self.auth),
            "{uid}": str(UID),
            "{{": "{",
            "}}": "}",
        }
        for name, text in self.programs.items():
            for word, value in words.items():
                text = text.replace(word, value)
            path = self.directory / "bin" / name
            path.write_text(text)
            path.chmod(0o755)
        settings = Settings.model_validate(
            {
                "directories": {"project": str(self.project), "auth": str(self.auth)},
                "backup": given(),
            }
        )
        with ctx_host.use(FakeHost()):
            (script,) = (
                file.content
                for file in stage.wanted(settings)
                if file.path == stage.program(settings)
            )
        script = script.replace("/var/lib/openclaw/backup", str(self.work))
        programs = f"{self.directory}/bin:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-c", script, "backup.sh", mode],
            env={**os.environ, "PATH": programs},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def asked(self) -> list[str]:
        """What restic was asked for."""
        return [line.split()[0] for line in self.log.read_text().splitlines()]


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    if os.geteuid():
        pytest.skip("gives files away")
    tmp_path.chmod(0o755)
    yield Deployed(tmp_path)


def test_a_backup_holds_the_state_and_what_openclaws_archive_does_not(deployed: Deployed) -> None:
    done = deployed.run()
    assert done.returncode == 0, done.stderr
    assert "making the repository" in done.stdout and '"sessions":2' in done.stdout
    sent = deployed.there / "sent"
    names = {str(path.relative_to(sent)) for path in sent.rglob("*") if path.is_file()}
    assert names == {
        *("state.tar", "auth.tar", "manifest.json"),
        *("host/docker-compose.yml", "host/.env", "host/settings.json"),
    }
    manifest = json.loads((sent / "manifest.json").read_text())
    assert manifest["release"] == "2026.9.6" and manifest["counts"]["cron_jobs"] is None
    assert b"the key of profiles" in (sent / "auth.tar").read_bytes()
    # Nothing is left of it, but what the repository has.
    assert not (deployed.auth / ".backup").exists() and not (deployed.work / "staging").exists()
    assert (deployed.work / "last").read_text().split()[1:] == ["ok", "0123abcd"]
    assert (deployed.work / "made").read_text().split()[1:] == ["0123abcd"]
    forget = deployed.log.read_text().splitlines()[-1].split()
    assert forget[0] == "forget"
    assert {"--keep-last", "--keep-within", "--prune"} <= set(forget)
    assert "unseen" not in done.stdout + done.stderr + deployed.log.read_text()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("wrong", "refuses backup.password"),
        ("full", "no space left"),
        ("locked", "is already locked exclusively by PID 7 on; wait for that run to end"),
        ("damaged", "0123abcd cannot be read back"),
    ],
)
def test_a_backup_that_comes_to_nothing_says_so(deployed: Deployed, fault: str, said: str) -> None:
    assert deployed.run().returncode == 0
    (deployed.there / fault).touch()
    done = deployed.run()
    assert done.returncode == 1 and said in done.stderr
    last = (deployed.work / "last").read_text()
    assert " failed " in last and said in last
    assert not (deployed.auth / ".backup").exists()
    # One that cannot be read is not the newest one.
    assert deployed.asked()[-1] == ("forget" if fault == "damaged" else deployed.asked()[-1])
    (deployed.there / fault).unlink()
    assert deployed.run().returncode == 0


def test_a_repository_that_is_gone_or_another_is_not_taken_for_the_one_of_before(
    deployed: Deployed,
) -> None:
    assert deployed.run().returncode == 0
    (deployed.there / "config").rename(deployed.there / "away")
    gone = deployed.run()
    assert gone.returncode == 1 and "the repository is gone" in gone.stderr
    assert not (deployed.there / "config").exists()
    text = (deployed.there / "away").read_text()
    (deployed.there / "config").write_text(text.replace("1", "2"))
    assert "another repository is there" in deployed.run().stderr


def test_what_an_agent_leaves_instead_of_an_archive_is_not_followed(deployed: Deployed) -> None:
    secret = deployed.directory / "secret"
    secret.write_text("of root alone")
    secret.chmod(0o600)
    for made, said in {
        f"mkdir -p {{auth}}/.backup && ln -s {secret} {{auth}}/.backup/state.tar": "",
        f"ln -s {deployed.directory} {{auth}}/.backup": "",
        "mkdir -p {auth}/.backup && mkfifo {auth}/.backup/state.tar": "",
        "mkdir -p {auth}/.backup && truncate -s 8T {auth}/.backup/state.tar": "has room for",
    }.items():
        deployed.made = f"{made}; chown -hR {UID} {{auth}}"
        done = deployed.run()
        assert done.returncode == 1 and said in done.stderr, done.stderr
        assert secret.read_text() == "of root alone" and secret.stat().st_uid == 0
        assert "of root alone" not in done.stdout + done.stderr
        assert not (deployed.there / "sent").exists()


def test_one_backup_at_a_time(deployed: Deployed) -> None:
    deployed.work.mkdir(parents=True)
    holder = subprocess.Popen(
        ["flock", deployed.work / "lock", "sh", "-c", "echo held; read _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout and holder.stdout.readline()
    done = deployed.run()
    assert done.returncode == 1 and "another backup of openclaw is being made" in done.stderr
    holder.communicate(b"\n")
    assert deployed.run().returncode == 0


def test_an_interrupted_swap_comes_first(deployed: Deployed) -> None:
    (deployed.project / "candidate").mkdir()
    done = deployed.run()
    assert done.returncode == 1 and "./claw up finishes it" in done.stderr


def test_the_list_of_a_host(deployed: Deployed) -> None:
    assert deployed.run().returncode == 0
    found = listing.parse(deployed.run("list").stdout)
    assert found.backups == (
        listing.Snapshot("0123abcd", "vm", "2026-11-29T12:00:00.5Z", "2026.9.6", 10),
    )
    assert found.healthy
    (deployed.work / "drill-failed").write_text("2026-11-29T13:00:00Z failed counts differ\n")
    assert not listing.parse(deployed.run("list").stdout).healthy


@pytest.mark.parametrize(
    "line",
    [
        "[",
        "[1]",
        '[{"short_id": "$(touch x)", "time": "2026-11-29T12:00:00Z"}]',
        '[{"short_id": "0123abcd", "time": "yesterday"}]',
        '[{"short_id": "0123abcd", "time": "2026-11-29T12:00:00Z", "tags": ["bytes=-1"]}]',
        "[" * 100000,
    ],
)
def test_a_list_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(patterns.MismatchError):
        listing.parse(line)


def test_what_a_host_says_of_its_backups_is_text() -> None:
    listed = [{**LISTED[0], "tags": ["release=\x1b[31m"]}]
    (one,) = listing.parse(json.dumps(listed)).backups
    assert one.release == "unknown"
    assert "\x1b" not in listing.parse("last 2026 ok \x1b[31m").last


@pytest.mark.parametrize(
    "repository",
    [
        *("srv/backups", "/srv/../etc", "/srv/back ups", "ftp:host", "s3:", ""),
        *("rest:https://user:secret@host/", "sftp:user:secret@host:/x", "/srv/$(x)", "local"),
    ],
)
def test_repositories_that_are_refused(repository: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"backup": given(repository=repository)})


@pytest.mark.parametrize(
    "repository",
    [
        *("/srv/backups", "sftp:backup@nas.example.org:/srv/claw", "sftp://nas:2222//srv/claw"),
        *("s3:https://s3.example.org/bucket/claw", "s3:s3.amazonaws.com/bucket"),
        "rest:https://backup.example.org/claw/",
    ],
)
def test_repositories_that_are_accepted(repository: str) -> None:
    settings = Settings.model_validate({"backup": given(repository=repository)})
    assert list(general.problems(settings)) == []


@pytest.mark.parametrize(
    ("backup", "key"),
    [
        ({"repository": "/srv/backups"}, "backup.password"),
        ({"password": {"env": "X"}}, "backup.repository"),
        (given(repository="/var/lib/openclaw/config/b"), "backup.repository"),
        (given(environment={"RESTIC_PASSWORD": {"env": "X"}}), "backup.environment"),
    ],
)
def test_settings_that_contradict_each_other(backup: dict[str, Any], key: str) -> None:
    (problem,) = general.problems(Settings.model_validate({"backup": backup}))
    assert problem.keys[0].startswith(key)


def test_secrets_stand_in_one_file_of_root_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {"BACKUP_PASSWORD": "p'a$s", "BACKUP_USER": "me@x", "BACKUP_LOGIN": "s3:c/ret"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    credentials.read.cache_clear()
    login = {
        "RESTIC_REST_USERNAME": {"env": "BACKUP_USER"},
        "RESTIC_REST_PASSWORD": {"env": "BACKUP_LOGIN"},
    }
    settings = Settings.model_validate(
        {"backup": given(repository="rest:https://nas/claw", environment=login)}
    )
    secret = stage.secrets(settings)
    assert secret.mode == "600" and secret.secret
    said = subprocess.run(
        ["sh", "-c", f'{secret.content} echo "$RESTIC_REPOSITORY $RESTIC_PASSWORD"'],
        capture_output=True,
        text=True,
    ).stdout
    assert said == "rest:https://me%40x:s3%3Ac%2Fret@nas/claw p'a$s\n"
    with ctx_host.use(FakeHost()):
        others = "".join(file.content for file in stage.wanted(settings))
    assert not any(value in others for value in values.values())


@pytest.mark.parametrize(
    ("schedule", "at"),
    [
        ("hourly", "17 * * * *"),
        ("daily", "17 3 * * *"),
        ("weekly", "17 3 * * 1"),
        ("monthly", "17 3 1 * *"),
        ("*-*-* 03:30:00", "30 3 * * *"),
        ("05:00", "0 5 * * *"),
        ("Mon..Fri 03:00", None),
        ("*-*-* 25:00", None),
    ],
)
def test_cron_makes_them_where_there_is_no_systemd(schedule: str, at: str | None) -> None:
    settings = Settings.model_validate({"backup": given(schedule=schedule, drill="weekly")})
    there = stage.Backups.parse(["cron"])
    with ctx_host.use(FakeHost()):
        (_, jobs) = stage.wanted(settings, there)
    assert jobs.path == "/etc/cron.d/openclaw-backup" and jobs.mode == "644"
    entries = [line for line in jobs.content.splitlines() if line[0].isdigit()]
    program = "root sh /opt/openclaw/backup/backup.sh"
    expected = [f"{at} {program} create >/dev/null 2>&1"] if at else []
    assert entries == [*expected, f"47 4 * * 1 {program} drill >/dev/null 2>&1"]


@pytest.mark.parametrize(
    ("said", "schedule", "problem", "stops"),
    [
        ([], "daily", "neither systemd nor a cron that runs", False),
        (["cron"], "daily", None, None),
        (["cron"], "Mon..Fri 03:00", "given Mon..Fri 03:00; accepted by cron", True),
        (["systemd"], "Mon..Fri 03:00", None, None),
    ],
)
def test_what_makes_no_backup_by_itself_is_said(
    said: list[str], schedule: str, problem: str | None, stops: bool | None, monkeypatch
) -> None:
    monkeypatch.setenv("BACKUP_PASSWORD", "x")
    credentials.read.cache_clear()
    settings = Settings.model_validate({"backup": given(schedule=schedule)})
    with at(settings, backup="\n".join(said)):
        found = list(stage.problems(settings))
    assert [one.stops for one in found] == ([] if problem is None else [stops])
    assert problem is None or problem in found[0].what


@pytest.mark.parametrize("code", [0, 1])
def test_a_repository_that_cannot_be_opened_leaves_what_was_there(
    code: int, tmp_path: Path
) -> None:
    """With a wrong password the host goes on with the right one."""
    secret, program = tmp_path / "secrets.sh", tmp_path / "backup.sh"
    for path in (secret, program):
        path.write_text("old\n")
    tried = f'grep -qx new "$OPENCLAW_BACKUP_SECRETS" && exit {code}\n'
    script = templates.render(
        "backup/configure.sh.j2",
        directory=str(tmp_path),
        secret="new\n",
        script=tried,
        open="prepare",
        files=[files.File(str(secret), "new\n", mode="600"), files.File(str(program), tried)],
        systemd=False,
        timers=[],
        stale_timer=None,
        stale_units=[],
        stale=[],
    )
    done = subprocess.run(["sh", "-s"], input=script, text=True)
    assert done.returncode == code
    assert secret.read_text() == ("old\n" if code else "new\n")
    assert {path.name for path in tmp_path.iterdir()} == {"secrets.sh", "backup.sh"}
