"""What root does in a tree that an agent owns, who does all he can meanwhile: the functions of the
swap that keep the gateway's state and put it back, and those that read."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyinfra.context import ctx_host

from operations import activation
from operations.base import owner
from tests.operations.hosts import FakeHost
from toolkit.settings import Settings

UID = 4711
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
AGENT = """
import ctypes, os, sys
exchange = ctypes.CDLL(None).renameat2
config, canary = sys.argv[1:]
os.chdir(config)
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
print("at work", flush=True)
while True:
    try:
        {attack}
    except OSError:
        pass
"""
ATTACKS = {
    # What was made there a moment ago is taken away, and a link put in its place.
    "restore_state": """
        if not os.path.islink("agents"):
            os.rename("agents", f"stolen{len(os.listdir())}")
            os.symlink(canary, "agents")""",
    # What is read there is now a directory, now a link, and never absent.
    "save_state": """
        os.symlink(canary, "other")
        while True:
            exchange(-100, b"agents", -100, b"other", 2)""",
}


class Tree:
    """A deployment's directories in a place of their own, and a canary of root's beside them."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.config = directory, directory / "lib/config"
        self.rollback, self.canary = directory / "lib/rollback", directory / "canary"
        self.project = directory / "opt"
        for path in (self.config, self.rollback, self.canary, self.project / "run"):
            path.mkdir(parents=True)
        self.rollback.chmod(0o700)
        os.chown(self.config, UID, UID)
        (self.canary / "secret").write_text("of root alone")
        (self.canary / "secret").chmod(0o600)
        self.sealed = self.of(self.canary)

    def sh(self, command: str, as_root: bool = True) -> subprocess.CompletedProcess[str]:
        who = [] if as_root else f"setpriv --reuid {UID} --regid {UID} --clear-groups".split()
        argv = [*who, "sh", "-euc", command]
        return subprocess.run(argv, cwd=self.config, capture_output=True, text=True, timeout=60)

    def agent(self, command: str) -> None:
        done = self.sh(command, as_root=False)
        assert done.returncode == 0, done.stderr

    def swap(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command behind the functions of the swap's script."""
        places = {"project": str(self.project), "config": str(self.config)}
        settings = Settings.model_validate({"directories": places})
        with ctx_host.use(FakeHost({"files": ""})):
            text = activation.script(settings)
        text = re.sub("rollback=[^ \n]*", f"rollback={self.rollback}", text, count=1)
        head, mark, _ = text.partition('\ncd "$project" || exit 1')
        assert mark
        argv = ["sh", "-s", "activate", "detached"]
        script = f"{head}\n{command}\n"
        return subprocess.run(argv, input=script, capture_output=True, text=True, timeout=120)

    @staticmethod
    def of(directory: Path) -> dict[str, tuple[object, ...]]:
        """What is below a directory, links not followed."""
        found: dict[str, tuple[object, ...]] = {}
        for top, directories, names in os.walk(directory):
            for name in (*directories, *names):
                path = Path(top, name)
                said = path.lstat()
                content: object = None
                if stat.S_ISREG(said.st_mode) and said.st_size < 1 << 20:
                    content = path.read_bytes()
                elif stat.S_ISLNK(said.st_mode):
                    content = str(path.readlink())
                key = str(path.relative_to(directory))
                found[key] = (said.st_mode, said.st_uid, said.st_gid, said.st_size, content)
        return found


@pytest.fixture
def tree() -> Iterator[Tree]:
    # Where another user gets to: pytest's own directory is closed.
    directory = Path(tempfile.mkdtemp(prefix="clawtest-directories-", dir="/var/tmp"))
    directory.chmod(0o755)
    yield Tree(directory)
    shutil.rmtree(directory)


def test_state_of_every_kind_is_kept_and_put_back(tree: Tree) -> None:
    tree.agent(
        f"""mkdir -p agents/main workspace-x sandboxes closed
        echo 1 >agents/main/a; ln agents/main/a hard
        mkfifo fifo; ln -s {tree.canary}/secret link; ln -s nowhere dangling; ln -s loop loop
        truncate -s 4T sparse; echo x >'-rf'; echo y >"$(printf 'new\\nline \\"q')"
        echo 2 >closed/f; chmod 500 closed; echo w >workspace-x/w; echo s >sandboxes/s"""
    )
    tree.sh("mkdir root && echo mine >root/f && chmod 700 root")  # the engine's, for a mount
    was = tree.of(tree.config)
    assert tree.swap("save_state").returncode == 0
    tree.agent("rm -rf agents hard link -- -rf; echo 3 >new; echo later >workspace-x/w")
    done = tree.swap("restore_state && cat no-such")
    assert "no-such" in done.stderr, done.stderr
    now = tree.of(tree.config)
    assert now.pop("workspace-x/w")[-1] == b"later\n", "workspaces stay as they are"
    was.pop("workspace-x/w")
    assert now == was
    assert (tree.rollback / "failed/new").read_text() == "3\n"
    assert tree.of(tree.canary) == tree.sealed


def test_what_its_owner_cannot_read_is_named_before_anything_stops(tree: Tree) -> None:
    tree.agent(
        "mkdir -p a/b; echo 1 >a/b/u; chmod 0 a/b/u; mkdir c; chmod 0 c; mkfifo f; chmod 0 f"
    )
    said = tree.swap("""no_copy_of "$config" "entries -exec find {}" '\\;'""").stdout
    assert sorted(said.split()) == ["./a/b/u", "./c"]


def test_nothing_is_moved_away_for_a_state_that_cannot_be_read(tree: Tree) -> None:
    tree.agent("echo 1 >a")
    assert tree.swap("save_state").returncode == 0
    kept = tree.rollback / "state/a"
    os.chown(kept, 0, 0)
    kept.chmod(0o600)
    assert tree.swap("restore_state").returncode != 0
    assert (tree.config / "a").read_text() == "1\n"


@pytest.mark.parametrize("what", ATTACKS)
def test_who_swaps_directories_for_links_meanwhile_gets_nothing(tree: Tree, what: str) -> None:
    for number in range(300):
        (tree.canary / f"f{number}").write_text("of root alone")
        (tree.canary / f"f{number}").chmod(0o600)
    tree.sealed = tree.of(tree.canary)
    tree.agent("mkdir agents && for n in $(seq 300); do echo his >agents/f$n; done")
    assert tree.swap("save_state").returncode == 0
    code = AGENT.format(uid=UID, attack=ATTACKS[what].strip())
    argv = [sys.executable, "-c", code, str(tree.config), str(tree.canary)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as agent:
        try:
            assert agent.stdout and agent.stdout.readline()
            for _ in range(4):
                tree.swap(what)
                assert tree.of(tree.canary) == tree.sealed
                kept = [found[-1] for found in tree.of(tree.rollback).values()]
                assert b"of root alone" not in kept
        finally:
            agent.kill()


# Reading

LIMIT = 100
KINDS = {
    "echo hello >x": "hello\n",
    "mkfifo x": "fifo",
    "mknod x c 1 5": "character special file",
    "ln -s /etc/shadow x": "symbolic link",
    "ln -s x x": "symbolic link",
    "ln -s nowhere x": "symbolic link",
    "mkdir x": "directory",
    "truncate -s 4T x": "has 4398046511104 bytes; 100 are accepted",
    "echo x >x; chmod 0 x": "may not read it",
    "echo x >x; chown 0:0 x; chmod 600 x": "may not read it",
    "echo x >x; chmod 0 .": "closed to its owner",
    "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"x\")'": "socket",
    ":": None,
}


@pytest.mark.parametrize("made", KINDS)
def test_only_a_regular_file_of_some_size_is_read(tree: Tree, made: str) -> None:
    expected = KINDS[made]
    by_root = "mknod" in made or "chown" in made
    done = tree.sh(made, as_root=by_root)
    assert done.returncode == 0, done.stderr
    script = f"{owner.shell()}\nread_foreign {tree.config} x {LIMIT}"
    read = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=30)
    if expected is None:
        assert (read.returncode, read.stdout) == (2, "")
    elif made.startswith("echo hello"):
        decoded = subprocess.run(
            ["base64", "-d"], input=read.stdout, capture_output=True, text=True
        )
        assert (read.returncode, decoded.stdout) == (0, expected)
    else:
        assert read.returncode == 1 and expected in read.stdout


def test_a_file_that_becomes_a_fifo_ends_the_reading_and_nobody_is_left(tree: Tree) -> None:
    (tree.config / "x").write_text("x")
    text = owner.shell().replace('exec <"$1"', 'rm "$1"; mkfifo "$1"; exec <"$1"')
    assert "mkfifo" in text
    text = text.replace("as_owner 20", "as_owner 1")
    script = f"{text}\nread_foreign {tree.config} x {LIMIT}"
    read = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=30)
    assert read.returncode == 1 and "could not be read" in read.stdout
    assert subprocess.run(["pgrep", "-U", str(UID)], capture_output=True).returncode == 1


@pytest.mark.parametrize(("mode", "allowed"), [(0o755, True), (0o777, False), (0o775, False)])
def test_roots_own_directory_is_fine_while_only_root_may_write(
    tree: Tree, mode: int, allowed: bool
) -> None:
    tree.canary.chmod(mode)
    script = f"{owner.shell()}\nas_owner 5 {tree.canary} id -u"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert (done.returncode == 0 and done.stdout == "0\n") == allowed


def test_the_owner_has_no_more_than_he_has_anyway(tree: Tree) -> None:
    script = f"""{owner.shell()}
    exec 9>{tree.project}/lock
    SECRET=1 as_owner 5 {tree.config} sh -c 'id -u; id -G
      grep -E "^(CapEff|NoNewPrivs)" /proc/self/status
      echo "${{SECRET:-unset}}"; [ ! -e /proc/self/fd/9 ] && echo no lock'"""
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout.split("\n")
    caps = "CapEff:\t0000000000000000"
    assert said == [str(UID), str(UID), caps, "NoNewPrivs:\t1", "unset", "no lock", ""]
