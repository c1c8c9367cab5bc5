"""What a lab host takes from the outer machine, to reach the same registries."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def files(known_bundle: str, suite: str, authorized_key: Path) -> dict[str, str]:
    """The files that `lab-init` puts in place at the first boot of a host.

    `known_bundle` is what the host trusts already.
    """
    found = {
        "authorized_keys": authorized_key.read_text(),
        "sources.list": apt_sources(suite),
        "resolv.conf": _resolver(),
    }
    for name in ("pip.conf", "npmrc"):
        source = Path("/etc", name)
        found[name] = source.read_text() if source.exists() else ""
    for number, certificate in enumerate(extra_cas(known_bundle)):
        found[f"ca-{number}.crt"] = certificate
    return found


def apt_sources(suite: str) -> str:
    """The outer machine's Debian mirrors, for another Debian release."""
    script = """
. "$0/packages/manager.sh"; debian_reached "$1" Debian \"\"
"""
    command = ["sh", "-c", script, str(TEMPLATES), suite]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def debian_mirrors(suite: str) -> list[str]:
    """The addresses in these, as the setting `debian_mirrors` takes them."""
    lines = [line.split() for line in apt_sources(suite).splitlines()]
    return list(dict.fromkeys(address.rstrip("/") for *_, address, _, _ in lines))


def extra_cas(known_bundle: str) -> list[str]:
    """The certificates that this machine trusts and a new Debian does not."""
    known = set(_certificates(known_bundle))
    return [pem for pem in _certificates(BUNDLE.read_text()) if pem not in known]


def _certificates(text: str) -> list[str]:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    blocks = re.findall(f"{begin}(.*?){end}", text, re.S)
    bodies = ["\n".join(re.findall(".{1,64}", "".join(block.split()))) for block in blocks]
    return [f"{begin}\n{body}\n{end}\n" for body in bodies]


def _resolver() -> str:
    """Name servers that a host can reach: not a stub on this machine's loopback."""
    text = Path("/etc/resolv.conf").read_text()
    upstream = Path("/run/systemd/resolve/resolv.conf")
    if re.search(r"^nameserver 127\.", text, re.M) and upstream.exists():
        return upstream.read_text()
    return text
