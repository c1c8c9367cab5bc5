"""A deployment is taken off a host: the script on a host whose programs are few lines each, with
real directories, and what is said of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operations.base import snapshot
from operations.lifecycle import removal
from operations.lifecycle.removal import Purge, There
from operations.recorded import Recorded
from operations.tailnet import Tailnet
from tests.operations.hosts import at, commands
from toolkit.settings import Settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="removes what is root's")
DOCKER = r"""#!/bin/sh
case "$1 $2" in
  "version "*) [ ! -e $HERE/silent ] ;;
  "ps "*)
    case "$*" in
      *openclaw.sandbox=1*) cat $HERE/sandboxes ;;
      *working_dir*) cat $HERE/containers ;;
      *) cat $HERE/containers $HERE/others ;;
    esac 2>/dev/null ;;
  "network inspect") if [ -e "$HERE/network-$5" ]; then echo "$5 $DEPLOYMENT "; else exit 1; fi ;;
  "network rm") rm "$HERE/network-$3" ;;
  "image ls") case "$*" in
      *deployment=*) cat $HERE/images ;;
      *label=openclaw-pyinfra.deployment*) cat $HERE/images $HERE/images-of-another ;;
      *) : ;;
    esac 2>/dev/null ;;
  "image inspect") case "$*" in
      *deployment*)
        if grep -qsF "$5" $HERE/images-of-another; then echo another
        else echo $DEPLOYMENT; fi ;;
      *) echo "$DEPLOYMENT:local " ;;
    esac ;;
  "image rm") rm -f $HERE/images ;;
  "volume inspect") [ -e "$HERE/volume-$3" ] ;;
  "volume rm") rm "$HERE/volume-$3" ;;
  "volume ls") ls $HERE | sed -n 's/^volume-//p' ;;
  "stop "*) echo "$*" >>$HERE/done; while [ -e $HERE/turn ]; do sleep 0.1; done ;;
  "rm "*) if [ "$2" = -fv ]; then rm -f $HERE/sandboxes; else rm -f $HERE/containers; fi ;;
esac
"""
SYSTEMCTL = '#!/bin/sh\necho "systemctl $*" >>$HERE/done\n'
NFT = "#!/bin/sh\ncase $1 in list) [ -e $HERE/table ] ;; delete) rm $HERE/table ;; esac\n"
APT = r"""#!/bin/sh
case "$*" in
  *--simulate*)
    for one; do
      case $one in
        -* | purge) ;;
        curl) echo "Purg curl"; echo "Purg mine" ;;
        *) echo "Purg $one" ;;
      esac
    done ;;
  *) echo "$*" >>$HERE/done; rm -f $HERE/installed ;;
esac
"""
DPKG = r"""#!/bin/sh
for last; do :; done
! grep -qsx "$last" $HERE/installed || echo "ii  $last"
! grep -qsx "$last" $HERE/half-installed || echo "iHR $last"
"""
IDENTIFIER = "0" * 12


class Deployed:
    """A host with one deployment."""

    def __init__(self, root: Path) -> None:
        self.root, self.here = root, root / "here"
        self.opt, self.lib = root / "opt/claw", root / "lib/claw"
        for path in (self.here, root / "bin", self.opt / "last-good", self.opt / "run"):
            path.mkdir(parents=True)
        for path in (self.lib / "config", self.lib / "workspace", self.lib / "auth"):
            path.mkdir(parents=True)
            (path / "mine").write_text("what OpenClaw knows\n")
        for path in (
            self.opt / ".env",
            self.opt / "docker-compose.yml",
            self.opt / "settings.json",
        ):
            path.write_text("x\n")
        programs = {"docker": DOCKER, "systemctl": SYSTEMCTL, "nft": NFT}
        programs |= {"apt-get": APT, "dpkg-query": DPKG, "apparmor_parser": "#!/bin/sh\n"}
        for name, text in programs.items():
            (root / "bin" / name).write_text(text)
            (root / "bin" / name).chmod(0o755)
        self.put("containers", f"{IDENTIFIER}\n")
        self.put("sandboxes", f"{'1' * 12} claw-sbx-main\n{'2' * 12} claws-sbx-main\n")
        self.put("images", f"sha256:{'a' * 64}\n")
        self.put("network-claw-claw")
        self.put("table")
        self.put("volume-claw-rehearsal")

    @property
    def settings(self) -> Settings:
        places = {
            "project": str(self.opt),
            **{one: str(self.lib / one) for one in ("config", "workspace", "auth")},
        }
        backup = {"repository": "/srv/backups", "password": {"env": "RESTIC"}}
        return Settings.model_validate({"name": "claw", "directories": places, "backup": backup})

    def put(self, name: str, text: str = "") -> None:
        (self.here / name).write_text(text)

    def has(self, name: str) -> bool:
        return (self.here / name).exists()

    def done(self) -> str:
        path = self.here / "done"
        return path.read_text() if path.exists() else ""

    def run(self, mode: str, monkeypatch: pytest.MonkeyPatch, **purge: bool) -> There:
        monkeypatch.setattr(removal, "chosen", lambda: Purge(**purge))
        with at(self.settings):
            text = removal.script(self.settings)
        # What is beside the deployment's own directories is this machine's.
        for path in ("/etc/", "/run/", "/var/"):
            text = text.replace(f" {path}", f" {self.root}{path}").replace(
                f'"{path}', f'"{self.root}{path}'
            )
        text = text.replace("=/etc/openclaw", f"={self.root}/etc/openclaw")
        text = text.replace("=/var/lib/openclaw", f"={self.root}/var/lib/openclaw")
        text = text.replace(" /root/.docker", f" {self.root}/root/.docker")
        assert " /root/.docker" not in text
        environment = {**os.environ, "HERE": str(self.here), "DEPLOYMENT": "claw"}
        environment["PATH"] = f"{self.root}/bin:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-s", "--", mode],
            input=text,
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return There.parse(done.stdout)


@pytest.fixture
def host() -> Iterator[Deployed]:
    """Its parents are root's alone, as those of /opt and /var/lib are."""
    root = Path(tempfile.mkdtemp(dir="/root", prefix="claw-removal-"))
    yield Deployed(root)
    shutil.rmtree(root)


def test_what_is_said_is_what_is_done(host: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    for purge in ({}, {"data": True}):
        said = host.run("look", monkeypatch, **purge)
        assert host.run("look", monkeypatch, **purge) == said, "a look changes nothing"
        assert host.run("remove", monkeypatch, **purge) == said
        assert host.run("look", monkeypatch, **purge).goes == ()
        assert host.run("remove", monkeypatch, **purge).goes == ()


def test_what_openclaw_knows_stays_without_a_word(host: Deployed, monkeypatch) -> None:
    kept = [".env.before-restore-20261129T130004Z", ".env.replaced", ".env.undone-20261129T130004Z"]
    for name in kept:  # what a restore, or the way back from an adoption, put aside
        (host.opt / name).write_text("")
    said = host.run("remove", monkeypatch)
    assert "stop -t 330" in host.done(), "a turn is finished"
    for name in ("containers", "images", "table", "network-claw-claw", "volume-claw-rehearsal"):
        assert not host.has(name), name
    assert sorted(path.name for path in host.opt.iterdir()) == [".env", *kept, "settings.json"]
    for one in ("config", "workspace", "auth"):
        assert (host.lib / one / "mine").read_text() == "what OpenClaw knows\n"
    stays = "\n".join(said.stays)
    assert "the token and the credentials; --purge-data takes it away" in stays
    assert str(host.lib / "config") in stays


def test_what_would_bring_it_back_goes_first(host: Deployed, monkeypatch) -> None:
    base = host.root / "var/lib/openclaw-pyinfra/claw.pull"
    (base / "enrolled").mkdir(parents=True)
    (base / "enrolled/pull.sh").write_text('echo "report: $1" >>$HERE/done\n')
    said = host.run("look", monkeypatch)
    assert said.goes[0].startswith("pull: claw-pull.timer")
    assert host.run("remove", monkeypatch) == said
    assert "report: leave" in host.done() and not base.exists()
    assert host.done().index("report: leave") < host.done().index("stop -t")


def test_all_of_it_goes_with_a_word(host: Deployed, monkeypatch) -> None:
    said = host.run("remove", monkeypatch, data=True)
    assert not host.opt.exists() and not (host.lib / "config").exists()
    assert any(line.startswith("backups: /srv/backups: ") for line in said.stays)


def test_a_link_is_removed_and_not_followed(host: Deployed, monkeypatch) -> None:
    canary = host.root / "canary"
    canary.mkdir()
    (canary / "kept").write_text("of root\n")
    shutil.rmtree(host.lib / "workspace")
    (host.lib / "workspace").symlink_to(canary)
    (host.lib / "config/link").symlink_to(canary)
    host.run("remove", monkeypatch, data=True)
    assert (canary / "kept").exists()
    assert not (host.lib / "workspace").is_symlink()


def test_a_disk_that_is_mounted_is_emptied_and_stays(host: Deployed, monkeypatch) -> None:
    place = host.lib / "workspace"
    if subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        (place / "mine").write_text("what OpenClaw knows\n")
        host.run("remove", monkeypatch, data=True)
        again = host.run("look", monkeypatch, data=True)
        assert place.is_mount() and not list(place.iterdir())
        assert f"data: {place}: a disk is mounted there" in again.stays
    finally:
        subprocess.run(["umount", place], check=True)


def test_below_a_directory_of_somebody_else_root_removes_nothing(
    host: Deployed, monkeypatch
) -> None:
    """He may have put a link in its place, between the look and the removal too."""
    os.chown(host.lib, 4711, 4711)
    said = host.run("remove", monkeypatch, data=True)
    assert (host.lib / "config/mine").exists()
    assert any("is not root's alone; remove it as its owner" in one for one in said.stays)
    os.chown(host.lib, 0, 0)
    host.lib.chmod(0o777)
    host.run("remove", monkeypatch, data=True)
    assert (host.lib / "config/mine").exists()


def test_of_another_deployment_nothing_goes(host: Deployed, monkeypatch) -> None:
    host.put("images-of-another", f"sha256:{'b' * 64}\n")
    host.put("others", f"{'3' * 12}\n")
    note = host.root / "etc/openclaw-pyinfra/packages"
    note.parent.mkdir(parents=True)
    note.write_text("docker.io\n")
    host.put("installed", "docker.io\n")
    said = host.run("remove", monkeypatch, data=True, engine=True)
    assert "purge" not in host.done()
    assert any(
        "Docker: others use it (containers: 1, deployments: another" in x for x in said.stays
    )
    assert host.has("images-of-another")
    assert not any("2" * 12 in one for one in said.goes), "another's sandbox"


def test_packages_go_by_the_note_and_what_others_need_stays(host: Deployed, monkeypatch) -> None:
    said = host.run("look", monkeypatch, engine=True)
    assert any("there is no note of what was there before" in one for one in said.stays)
    note = host.root / "etc/openclaw-pyinfra/packages"
    note.parent.mkdir(parents=True)
    note.write_text("curl\ndocker.io\nnftables\nnot-installed\n")
    host.put("installed", "curl\ndocker.io\n")
    host.put("half-installed", "nftables\n")
    said = host.run("remove", monkeypatch, engine=True)
    assert "packages: docker.io nftables" in said.goes
    assert "package: curl: needed by mine" in said.stays
    assert "purge --yes docker.io nftables\n" in host.done()
    assert not note.exists()


@pytest.mark.parametrize("login", [False, True])
def test_what_docker_made_as_it_ran_goes_and_a_login_stays(
    login: bool, host: Deployed, monkeypatch
) -> None:
    note, of_root = host.root / "etc/openclaw-pyinfra/packages", host.root / "root/.docker"
    for path in (note.parent, of_root / "buildx/refs", host.root / "etc/cni/net.d"):
        path.mkdir(parents=True)
    note.write_text("docker.io\n")
    (of_root / "buildx/refs/one").touch()
    if login:
        (of_root / "config.json").touch()
    said = host.run("look", monkeypatch, engine=True)
    assert f"engine: {of_root}/buildx" in said.goes and f"engine: {host.root}/etc/cni" in said.goes
    assert (f"engine: {of_root}" in said.goes) != login


def test_an_engine_that_does_not_answer_is_no_reason_to_forget_containers(
    host: Deployed, monkeypatch
) -> None:
    host.put("silent")
    with pytest.raises(AssertionError, match="the engine does not answer"):
        host.run("remove", monkeypatch, data=True)
    assert (host.lib / "config/mine").exists()


# The operation


def test_there_is_nothing_a_second_time(monkeypatch) -> None:
    monkeypatch.setattr(removal, "chosen", Purge)
    monkeypatch.setattr(snapshot, "run_quietly", lambda *_: "stays data\t/var/lib/x: kept\n")
    assert commands(removal.removed, {}, settings=Settings()) == []
    monkeypatch.setattr(snapshot, "run_quietly", lambda *_: "goes image\topenclaw:local\n")
    (command,) = commands(removal.removed, {}, settings=Settings())
    assert command == "sh -s -- remove"


@pytest.mark.parametrize(
    ("recorded", "stops"),
    [
        ({}, False),
        ({"home_volume": None}, False),
        ({"home_volume": "elsewhere"}, True),
        ({"directories": {"config": "/srv/elsewhere"}}, True),
    ],
)
def test_another_place_than_that_of_the_deploy_is_refused(
    recorded: dict[str, Any], stops: bool, monkeypatch
) -> None:
    settings = Settings.model_validate({"directories": {"config": "/srv/here"}})
    there = {Recorded: Recorded(recorded), Tailnet: Tailnet()}
    monkeypatch.setattr(snapshot, "of", there.__getitem__)
    with at(settings):
        assert bool(list(removal.problems(settings))) is stops


def test_what_watches_it_goes_with_whom_it_tells(host: Deployed, monkeypatch) -> None:
    there = [
        host.root / "etc/systemd/system/claw-watch.timer",
        host.root / "etc/systemd/system/claw-watch.service",
        host.root / "etc/cron.d/claw-watch",
        host.root / "run/openclaw-pyinfra/claw.watch/gateway",
        host.opt / "watch/addresses.conf",
    ]
    for path in there:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    said = host.run("remove", monkeypatch)
    assert [path for path in there if path.exists()] == []
    assert "disable --now claw-watch.timer" in host.done()
    assert "watch" not in "".join(said.stays)
