"""`./claw open` as a person runs it: a tunnel and a browser with a one-time link, until Ctrl-C."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.harness import Deployment, until

pytestmark = [pytest.mark.engine, pytest.mark.long]

BROWSER = """#!/bin/sh
printf '%s\\n' "$*" >{folder}/given
cp "${{1#file://}}" {folder}/page
touch {folder}/opened
"""


def commands() -> Iterator[bytes]:
    """The command lines of all processes of this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            yield path.read_bytes()


def test_a_tunnel_and_a_link_that_nobody_else_sees(deployed: Deployment, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(BROWSER.format(folder=tmp_path))
    browser.chmod(0o700)
    opening = deployed.start("open", env={"BROWSER": str(browser)})
    try:
        until(lambda: (tmp_path / "opened").exists(), 300, "the browser")
        given = (tmp_path / "given").read_text().strip()
        (link,) = re.findall('url=(.*)">', (tmp_path / "page").read_text())
        address, _, fragment = link.partition("#")
        assert address == f"http://127.0.0.1:{deployed.port}/" and len(fragment) > 20
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
        secret = max(re.findall("[A-Za-z0-9_-]+", fragment), key=len).encode()
        assert not [one for one in commands() if secret in one]
        assert secret.decode() not in opening.output()
    finally:
        opening.interrupt()
    done = opening.finish(60)
    assert done.returncode == 0, done.output
    assert not Path(given.removeprefix("file://")).exists()
    with pytest.raises(OSError):
        urllib.request.urlopen(address, timeout=5)


def test_without_a_browser_the_link_is_printed(deployed: Deployment) -> None:
    opening = deployed.start("open", "--no-browser")
    opening.wait_for("the tunnel is open", 300)
    opening.interrupt()
    done = opening.finish(60)
    assert re.fullmatch(rf"http://127\.0\.0\.1:{deployed.port}/#\S+\n", done.stdout)
