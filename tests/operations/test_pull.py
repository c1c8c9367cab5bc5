"""Pull mode's script with real git repositories and signatures; what `./claw up` does is played."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from operations.base import files, templates
from operations.lifecycle import enrolment
from operations.lifecycle.enrolment import Enrolment
from tests.operations.hosts import at, commands, judged
from toolkit.settings import Settings

pytestmark = pytest.mark.slow
CLAW = """#!/bin/sh
echo "$*" >>{log}
case $* in *--dry) dry=yes ;; *) dry= ;; esac
[ ! "$dry" ] || [ ! -e {there}/refuses ] || { echo 'claw1: credentials.KEY: not set'; exit 1; }
[ ! -e {there}/held ] || { echo 'you@here is changing this host since then: up'; exit 1; }
[ "$dry" ] || [ ! -e bad ] || { echo 'claw1: it does not become ready'; exit 1; }
echo "claw1: nothing to change; KEY is $KEY"
"""


class Fleet:
    """The operator: a repository that all hosts reach, a key that may sign, one that may not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url, self.work, self.log = (directory / one for one in ("fleet.git", "work", "log"))
        for name in ("operator", "stranger"):
            key = directory / name
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
            subprocess.run(words, check=True)
        self.signers = f"operator@example.org {(directory / 'operator.pub').read_text()}"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.url)], check=True)
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.work)], check=True)
        (self.work / "inventories").mkdir()
        (self.work / "inventories/fleet.yml").write_text("hosts: {claw1: {}}\n")
        script = CLAW.replace("{log}", str(self.log)).replace("{there}", str(directory))
        (self.work / "claw").write_text(script)
        (self.work / "claw").chmod(0o755)

    def git(self, *words: str, key: str = "operator") -> str:
        own = ["-c", "user.name=o", "-c", "user.email=o@example.org", "-c", "gpg.format=ssh"]
        signing = ["-c", f"user.signingKey={self.directory / key}"]
        done = subprocess.run(
            ["git", "-C", str(self.work), *own, *signing, *words],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, message: str = "change", key: str | None = "operator") -> str:
        """Push a commit of all that there is, signed by that key."""
        self.git("add", "-A")
        sign = [] if key is None else ["-S"]
        self.git("commit", "-q", "--allow-empty", *sign, "-m", message, key=key or "")
        self.push("HEAD:refs/heads/main")
        return self.git("rev-parse", "HEAD")

    def push(self, *refs: str) -> None:
        self.git("push", "-q", "--force", str(self.url), *refs)

    def host(self, name: str = "claw1", **given: Any) -> Host:
        return Host(self, name, **given)

    def report(self, ring: int, name: str) -> list[str]:
        words = ["git", "-C", str(self.url), "log", "-1", "--format=%s"]
        words.append(f"refs/openclaw-pull/{ring}/{name}")
        return subprocess.run(words, capture_output=True, text=True).stdout.split()

    def reported(self, ring: int, name: str, *subject: object) -> None:
        """Be another host that reports."""
        tree = self.git("hash-object", "-w", "-t", "tree", "/dev/null")
        made = self.git("commit-tree", "-m", " ".join(map(str, subject)), tree)
        self.push(f"{made}:refs/openclaw-pull/{ring}/{name}")


class Host:
    """A host that is enrolled, and what its last run said of itself."""

    def __init__(self, fleet: Fleet, name: str, ring: int | None = None, **given: Any) -> None:
        self.fleet, self.base = fleet, fleet.directory / name
        self.stopped, self.environment = self.base / "stopped", self.base / "environment"
        enrolled = self.base / "enrolled"
        enrolled.mkdir(parents=True, exist_ok=True)
        values = {
            "base": self.base,
            "name": name,
            "url": fleet.url,
            "ref": "main",
            "inventory": "inventories/fleet.yml",
            "ring": "" if ring is None else ring,
            "soak": 0,
            "environment": self.environment,
            "stopped": self.stopped,
        } | given
        made = templates.render("pull/enrolment.sh.j2", **values)
        (enrolled / "enrolment.sh").write_text(made)
        (enrolled / "pull.sh").write_text(templates.render("pull/pull.sh"))
        (enrolled / "allowed_signers").write_text(fleet.signers)

    def run(self, mode: str = "run", code: int | None = None) -> str:
        self.fleet.log.write_text("")
        done = subprocess.run(
            ["sh", str(self.base / "enrolled/pull.sh"), mode],
            env={"PATH": os.environ["PATH"], "HOME": str(self.base)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        said = done.stdout + done.stderr
        assert code is None or done.returncode == code, said
        return said

    @property
    def result(self) -> dict[str, str]:
        lines = (self.base / "result").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def ran(self) -> list[str]:
        return self.fleet.log.read_text().splitlines()


UP = "up inventories/fleet.yml --as claw1"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def test_a_signed_commit_is_converged_to_as_the_host_that_it_is(fleet: Fleet):
    commit, host = fleet.commit(), fleet.host()
    host.run(code=0)
    assert host.ran == [f"{UP} -y --wait-lock 60"]
    assert host.result["state"] == "converged"
    assert host.result["commit"] == commit
    assert host.result["message"].startswith("claw1: nothing to change")
    assert abs(int(host.result["time"]) - time.time()) < 60
    host.run(code=0)  # what drifted is mended
    assert len(host.ran) == 1


def test_what_is_not_signed_by_an_allowed_signer_changes_nothing(fleet: Fleet):
    fleet.commit()
    host = fleet.host()
    host.run(code=0)
    for key in (None, "stranger"):
        (fleet.work / "new").write_text(str(key))
        commit = fleet.commit(key=key)
        said = host.run(code=1)
        assert host.ran == []
        assert host.result["state"] == "refused"
        assert f"{commit} is not signed by an allowed signer" in said
        assert not (host.base / "tree/new").exists()
    # The next signed one stands for what is below it.
    fleet.commit()
    host.run(code=0)
    assert len(host.ran) == 1


def test_a_key_of_root_s_keyring_signs_nothing(fleet: Fleet, tmp_path: Path):
    """A signature of another kind would be judged by a program of the host's own configuration."""
    fleet.commit()
    host = fleet.host()
    tree = fleet.git("rev-parse", "HEAD^{tree}")
    forged = (
        f"tree {tree}\nauthor o <o@example.org> 1 +0000\ncommitter o <o@example.org> 1 +0000\n"
        "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\nforged\n"
    )
    (tmp_path / "object").write_text(forged)
    made = fleet.git("hash-object", "-t", "commit", "-w", str(tmp_path / "object"))
    fleet.push(f"{made}:refs/heads/main")
    believes = tmp_path / "believes"
    believes.write_text(
        "#!/bin/sh\ncat >/dev/null\necho; echo '[GNUPG:] GOODSIG 0123456789ABCDEF o'\n"
        "echo '[GNUPG:] TRUST_ULTIMATE 0 pgp'\n"
    )
    believes.chmod(0o755)
    (host.base / ".gitconfig").write_text(f"[gpg]\n\tprogram = {believes}\n")
    host.run(code=1)
    assert (host.result["state"], host.ran) == ("refused", [])


def test_an_older_commit_or_another_history_is_refused(fleet: Fleet):
    first = fleet.commit()
    second = fleet.commit()
    host = fleet.host()
    host.run(code=0)
    fleet.push(f"{first}:refs/heads/main")
    said = host.run(code=1)
    assert f"{first} is not a descendant of {second}" in said
    assert (host.result["state"], host.ran) == ("refused", [])
    fleet.git("checkout", "-q", "--orphan", "other")
    fleet.commit()
    host.run(code=1)
    assert (host.result["state"], host.ran) == ("refused", [])
    fleet.push(f"{second}:refs/heads/main")
    host.run(code=0)
    assert len(host.ran) == 1


def test_what_cannot_be_fetched_changes_nothing_and_says_why(fleet: Fleet):
    fleet.commit()
    said = fleet.host(ref="none").run(code=1)
    assert "none of" in said and "remote ref" in said
    gone = fleet.host(url=fleet.directory / "gone.git")
    assert "does not appear to be a git repository" in gone.run(code=1)
    assert (gone.result["state"], gone.ran) == ("unreachable", [])
    runs = fleet.host(url=f"ext::touch {fleet.directory}/canary")
    assert "transport 'ext' not allowed" in runs.run(code=1)
    assert not (fleet.directory / "canary").exists()


def test_a_tag_is_followed_by_its_signature_and_under_its_own_name(fleet: Fleet):
    first = fleet.commit(key=None)
    fleet.git("tag", "-s", "-m", "for production", "production")
    fleet.push("refs/tags/production")
    host = fleet.host(ref="production")
    host.run(code=0)
    assert host.result["commit"] == first
    fleet.commit(key=None)
    fleet.git("tag", "-s", "-m", "to try", "trial")
    fleet.push("refs/tags/trial:refs/tags/production")
    assert "production is the tag trial under another name" in host.run(code=1)
    fleet.git("tag", "-f", "-s", "-m", "forged", "production", key="stranger")
    fleet.push("refs/tags/production")
    host.run(code=1)
    assert (host.result["state"], host.ran) == ("refused", [])
    fleet.git("tag", "-f", "production")
    fleet.push("refs/tags/production")
    host.run(code=1)
    assert (host.result["state"], host.ran) == ("refused", [])


def test_a_ring_waits_for_those_before_it(fleet: Fleet):
    commit = fleet.commit()
    first, second = fleet.host(ring=0), fleet.host("claw2", ring=1)
    assert "no host of a ring before 1" in second.run(code=0)
    first.run("try", code=0)
    assert fleet.report(0, "claw1") == ["enrolled"]
    second.run(code=0)
    assert second.result["state"] == "waiting"
    assert second.result["message"] == "ring 0: claw1 has not reported it healthy"
    assert second.ran == []
    first.run(code=0)
    assert fleet.report(0, "claw1")[:2] == ["healthy", commit]
    second.run(code=0)
    assert second.result["state"] == "converged"
    assert fleet.report(1, "claw2")[:2] == ["healthy", commit]
    # Of the same ring nobody waits for another.
    fleet.reported(1, "claw3", "failed", commit)
    second.run(code=0)
    assert len(second.ran) == 1


def test_a_bad_change_stops_at_the_first_ring(fleet: Fleet):
    fleet.commit()
    first, second = fleet.host(ring=0), fleet.host("claw2", ring=1)
    first.run(code=0)
    second.run(code=0)
    (fleet.work / "bad").touch()
    bad = fleet.commit()
    said = first.run(code=1)
    assert "it does not become ready" in said
    assert first.result["state"] == "failed"
    assert fleet.report(0, "claw1") == ["failed", bad]
    second.run(code=0)
    assert (second.result["state"], second.ran) == ("waiting", [])
    assert second.result["message"] == "ring 0: claw1 failed"
    (fleet.work / "bad").unlink()
    mended = fleet.commit()
    first.run(code=0)
    second.run(code=0)
    assert second.result["commit"] == mended


def test_a_commit_soaks_by_the_clock_of_who_reports(fleet: Fleet):
    commit = fleet.commit()
    host = fleet.host("claw2", ring=2, soak=600)
    now = int(time.time())
    fleet.reported(0, "claw0", "healthy", commit, now - 599, now)
    fleet.reported(1, "claw1", "healthy", commit, now - 900, now)
    host.run(code=0)
    assert "claw0 is healthy for 599 s of the 600 s" in host.result["message"]
    # It was healthy once, and has been silent since.
    fleet.reported(0, "claw0", "healthy", commit, now - 9000, now - 9000)
    assert "claw0 is healthy for 0 s" in host.run(code=0)
    fleet.reported(0, "claw0", "healthy", commit, "$(touch", "canary)")
    assert "claw0 reports no time" in host.run(code=0)
    fleet.reported(0, "claw0", "healthy", commit, now - 5600, now - 5000)
    host.run(code=0)
    assert host.result["state"] == "converged"


def test_a_report_goes_on_and_begins_anew_with_another_commit(fleet: Fleet):
    commit = fleet.commit()
    fleet.reported(0, "claw1", "healthy", commit, 1000, 2000)
    host = fleet.host(ring=0)
    host.run(code=0)
    _, _, since, seen = fleet.report(0, "claw1")
    assert since == "1000" and abs(int(seen) - time.time()) < 60
    fleet.commit()
    host.run(code=0)
    assert int(fleet.report(0, "claw1")[2]) > 2000


def test_a_host_that_changes_its_ring_or_leaves_takes_its_report_with_it(fleet: Fleet):
    fleet.commit()
    fleet.host(ring=0).run("try", code=0)
    host = fleet.host(ring=1)
    host.run("try", code=0)
    assert fleet.report(0, "claw1") == [] and fleet.report(1, "claw1") == ["enrolled"]
    host.run("leave", code=0)
    assert fleet.report(1, "claw1") == []


def test_a_repository_that_takes_no_report_is_said(fleet: Fleet):
    fleet.commit()
    (fleet.url / "hooks/pre-receive").write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    (fleet.url / "hooks/pre-receive").chmod(0o755)
    host = fleet.host(ring=0)
    assert "takes no report, which rings need" in host.run("try", code=1)
    host.run(code=1)
    assert host.result["state"] == "unreported"
    fleet.host("claw2").run(code=0)  # without rings nobody reports


def test_trying_changes_nothing_and_says_what_does_not_hold(fleet: Fleet):
    fleet.commit()
    host = fleet.host()
    host.run("try", code=0)
    assert host.ran == [f"{UP} --dry"]
    assert not (host.base / "result").exists() and not (host.base / "converged").exists()
    (fleet.directory / "refuses").touch()
    assert "credentials.KEY: not set" in host.run("try", code=1)
    fleet.host("claw2", inventory="other.yml")
    said = fleet.host("claw2", inventory="other.yml").run("try", code=1)
    assert "the repository has no other.yml" in said
    (fleet.work / "claw").unlink()
    fleet.commit()
    assert "no ./claw at its root" in host.run("try", code=1)


def test_what_env_refers_to_comes_from_a_file_of_root_alone(fleet: Fleet):
    fleet.commit()
    host = fleet.host()
    host.environment.write_text("KEY='of the host'\n")
    host.environment.chmod(0o644)
    assert "must be root's, with mode 600" in host.run(code=1)
    host.environment.chmod(0o600)
    assert "KEY is of the host" in host.run(code=0)


def test_another_run_is_waited_for_and_no_failure(fleet: Fleet):
    fleet.commit()
    host = fleet.host(ring=0)
    (fleet.directory / "held").touch()
    host.run(code=0)
    assert host.result["state"] == "waiting"
    assert "you@here is changing this host" in host.result["message"]
    assert fleet.report(0, "claw1") == []


def test_what_was_stopped_on_purpose_stays_so(fleet: Fleet):
    fleet.commit()
    host = fleet.host()
    host.stopped.touch()
    host.run(code=0)
    assert (host.result["state"], host.ran) == ("waiting", [])


def test_a_repository_that_asks_for_a_password_gets_none(fleet: Fleet):
    class Asks(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="fleet"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Asks) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = fleet.host(url=f"http://127.0.0.1:{server.server_port}/fleet.git")
        said = host.run(code=1)
        server.shutdown()
    assert "could not read Username" in said and "terminal prompts disabled" in said
    assert (host.result["state"], host.ran) == ("unreachable", [])


# What is put on a host

GIVEN = Enrolment(
    "ssh://git@git.example.org/fleet.git", "main", "fleet.yml", "o ssh-ed25519 A\n", "k\n", "key\n"
)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(enrolment, "chosen", lambda: GIVEN)


def as_it_is(settings: Settings, **but: str) -> dict[str, str]:
    """What a host says that is enrolled as it should be."""
    with at(settings):
        wanted = [*enrolment.wanted(settings, GIVEN), *enrolment._units(settings)]
    lines = [
        f"regular file|{one.mode}|0:0|{files.digest(one.content)}|{one.path}" for one in wanted
    ]
    return {"files": "\n".join(lines), "pull": "systemd\ntimer\nthere"} | but


def test_enrolling_again_changes_nothing(chosen):
    settings = Settings()
    assert commands(enrolment.enrolled, as_it_is(settings), settings=settings) == []
    (again,) = commands(
        enrolment.enrolled, as_it_is(settings, pull="systemd\nthere"), settings=settings
    )
    assert "systemctl enable" in again.stdin
    ringed = Settings.model_validate({"pull": {"ring": 1, "soak": 5}})
    (other,) = commands(enrolment.enrolled, as_it_is(settings), settings=ringed)
    assert "soak=300" in other.stdin


def test_a_key_that_is_not_given_any_more_goes(chosen, monkeypatch: pytest.MonkeyPatch):
    settings = Settings()
    there = as_it_is(settings)
    without = Enrolment(GIVEN.url, GIVEN.ref, GIVEN.inventory, GIVEN.allowed_signers, "k\n")
    monkeypatch.setattr(enrolment, "chosen", lambda: without)
    (one,) = commands(enrolment.enrolled, there, settings=settings)
    assert "deploy_key" not in re.sub(r"own/deploy_key", "", one.stdin.split("sh pull.sh try")[1])


def test_taking_it_away_is_no_change_where_there_is_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(enrolment, "chosen", lambda: None)
    assert commands(enrolment.enrolled, {"pull": "systemd"}, settings=Settings()) == []
    (one,) = commands(enrolment.enrolled, {"pull": "systemd\nthere"}, settings=Settings())
    assert "pull_leaves openclaw" in one.stdin


def test_a_host_without_systemd_is_told_so(chosen):
    (problem,) = judged(enrolment.problems, Settings(), {"pull": ""})
    assert "no systemd" in problem.what


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(
        enrolment.places, "pull", lambda settings: str(tmp_path / "lib/openclaw.pull")
    )
    return tmp_path / "lib/openclaw.pull"


def test_an_enrolment_that_does_not_hold_leaves_what_was_there(chosen, base: Path, tmp_path: Path):
    """The script that enrolls, with a `pull.sh` that is played."""

    def enroll(tried: str) -> int:
        parts = [files.File("pull.sh", tried), files.File("enrolment.sh", "\n")]
        script = templates.render(
            "pull/enroll.sh.j2",
            base=str(base),
            parts=parts,
            files=[files.File(str(tmp_path / "unit"), "unit\n")],
            timer="openclaw-pull.timer",
        )
        (tmp_path / "systemctl").write_text("#!/bin/sh\n")
        (tmp_path / "systemctl").chmod(0o755)
        path = f"{tmp_path}:{os.environ['PATH']}"
        return subprocess.run(["sh", "-s"], input=script, text=True, env={"PATH": path}).returncode

    assert enroll("exit 1\n") == 1
    assert not base.exists() and not (tmp_path / "unit").exists()
    assert enroll("exit 0\n") == 0
    assert base.stat().st_mode & 0o777 == 0o700
    assert (base / "enrolled/pull.sh").read_text() == "exit 0\n"
    assert enroll("exit 7\n") == 7
    assert (base / "enrolled/pull.sh").read_text() == "exit 0\n"
    assert sorted(path.name for path in base.iterdir()) == ["enrolled"]
    assert enroll("true\n") == 0
    assert (base / "enrolled/pull.sh").read_text() == "true\n"
    assert sorted(path.name for path in base.iterdir()) == ["enrolled"]
