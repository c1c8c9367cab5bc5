"""A gateway with state, a few files too, on which another image waits to be run, and what an engine
says to that."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.operations.fake_gateway import Gateway

OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")
HELD = {"agents": 1, "sessions": 3, "cron_jobs": None}
COMPOSE = 'services:\n  openclaw-gateway:\n    labels:\n      openclaw-pyinfra.project: "{}"\n'
UID = 4711
ENGINE = r"""
case "$*" in
  "compose --project-directory"*)
    [ ! -e $fake/no-archive ] || {{ echo "openclaw: database is locked"; return 1; }}
    cat run/rehearsal.yml >$fake/archived-by
    mkdir -p {auth}/.backup && echo archive >{auth}/.backup/state.tar
    cp $fake/held {auth}/.backup/counts.json
    chown -R {uid} {auth}/.backup ;;
  "volume create"*) touch $fake/volume ;;
  "volume rm"*) rm -f $fake/volume ;;
  "rm -fv"*) rm -f $fake/copy ;;
  "run -d"*) touch $fake/copy ;;
  "run "*"backup restore"*) cat >/dev/null; cat $fake/restored ;;
  "exec "*"fetch("*) [ -e $fake/copy ] && [ ! -e $fake/unready ] ;;
  "exec "*) cat $fake/afterwards ;;
  inspect*ExitCode*) echo 78 ;;
  inspect*Running*) [ -e $fake/ended ] && echo false || echo true ;;
  "image inspect -f"*) echo 2026.9.6 ;;
  logs*) echo "cannot migrate; the token is the-hidden-value" ;;
esac
"""


class Deployed(Gateway):
    """A gateway that runs with state, and another image that waits to be run."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.auth = directory / "auth"
        self.auth.mkdir()
        (self.config / "openclaw.json").write_text("state")
        for path in (self.auth, self.config, self.config / "openclaw.json"):
            os.chown(path, UID, UID)
        good = self.project / "last-good"
        good.mkdir()
        for where, label in ((good, "old"), (self.project, "new")):
            (where / ".env").write_text("OPENCLAW_GATEWAY_TOKEN=the-hidden-value\n")
            (where / ".env").chmod(0o600)
            (where / "docker-compose.yml").write_text(COMPOSE.format(label))
        (good / "image").write_text(f"{OLD}\n")
        self.set("image", f"{OLD}\n")
        self.set("local", f"{NEW}\n")
        self.set("label", "old\n")
        self.set("status", "running\n")
        self.set("env", (good / ".env").read_text())
        self.set("engine", ENGINE.format(auth=self.auth, uid=UID))
        for name in ("held", "restored", "afterwards"):
            self.set(name, json.dumps(HELD, separators=(",", ":")) + "\n")

    def swapped(self) -> bool:
        return self.says("image") == NEW

    def left(self) -> list[str]:
        """What of a rehearsal is still there."""
        files = (self.fake / "volume", self.fake / "copy", self.rollback / "rehearsal")
        more = (self.auth / ".backup", self.project / "run/rehearsing")
        return [path.name for path in (*files, *more) if path.exists()]

    def untouched(self) -> bool:
        """The old gateway serves, was never stopped, and its files are in place."""
        label = (self.project / "docker-compose.yml").read_text()
        return (
            self.says("status") == "running"
            and not self.says("done")
            and self.says("image") == self.says("local") == OLD
            and label == COMPOSE.format("old")
        )
