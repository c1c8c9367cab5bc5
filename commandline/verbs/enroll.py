"""`./claw enroll`: hosts that bring themselves to a signed git ref."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from pyinfra.api.state import State

from commandline import changing, targets
from commandline.options import examples
from operations.lifecycle import enrolment
from operations.lifecycle.enrolment import Enrolment
from toolkit import openssh, own_files
from toolkit.settings import validators

_SCP = re.compile(r"(?:[\w.-]+@)?([A-Za-z0-9][A-Za-z0-9.-]*):(?!//|:)\S+")
_SIGNER = re.compile(r"\S+\s+(?:.*\s)?(?:sk-)?(?:ssh|ecdsa)-[\w@.-]+\s+[A-Za-z0-9+/=]+(?:\s.*)?")
_KNOWN_HOSTS = Path("~/.ssh/known_hosts")


@click.command(
    epilog=examples(
        "./claw enroll fleet.yml --from git@git.lan:f.git --ref main --signers FILE",
        "./claw enroll inventories/fleet.yml --limit claw7 --remove",
    )
)
@changing.change_options
@click.option("--from", "url", metavar="GIT_URL", help="The repository: a clone of this toolkit.")
@click.option("--ref", metavar="REF", help="The branch, or the signed tag, that they follow.")
@click.option(
    "--inventory",
    metavar="PATH",
    help="The inventory in the repository (default: TARGET, where it is a relative path).",
)
@click.option(
    "--signers",
    metavar="FILE",
    help="Who may sign: lines of ssh-keygen(1)'s ALLOWED SIGNERS.",
)
@click.option("--deploy-key", metavar="FILE", help="The private key for ssh, without a passphrase.")
@click.option(
    "--known-hosts",
    metavar="FILE",
    help="Where the key of the git server is known (default: ~/.ssh/known_hosts).",
)
@click.option("--remove", "leaves", is_flag=True, help="Take all of it off the hosts again.")
def enroll(
    target: str | None,
    url: str | None,
    ref: str | None,
    inventory: str | None,
    signers: str | None,
    deploy_key: str | None,
    known_hosts: str | None,
    leaves: bool,
    **options: Any,
) -> None:
    """Have hosts bring themselves to a signed git ref.

    Each gets a timer that fetches the repository, verifies SSH's signature of the commit or tag,
    and runs `./claw up` of it on itself. It is tried at once: where that fails, nothing stays. What
    is not signed, older, or not to be had changes nothing (docs/pull.md).

    \b
    Exit codes: 0 done or nothing to do, 1 failed, 2 changes pending (--dry),
    130 interrupted.
    """
    given = {
        "--from": url,
        "--ref": ref,
        "--inventory": inventory,
        "--signers": signers,
        "--deploy-key": deploy_key,
        "--known-hosts": known_hosts,
    }
    typed = [word for flag, value in given.items() if value is not None for word in (flag, value)]
    wanted = None
    if leaves:
        if typed:
            raise click.UsageError(f"--remove goes without {typed[0]}")
        typed = ["--remove"]
    else:
        wanted = Enrolment(
            url := _url(url),
            _ref(ref),
            _inventory(inventory, target),
            _signers(signers),
            _keys_of_server(url, known_hosts),
            _key(deploy_key) if deploy_key else "",
        )

    def prepare(state: State) -> None:
        enrolment.choose(state, wanted)

    changing.run("enroll", target, more_flags=tuple(typed), prepare=prepare, looks=False, **options)


def _wrong(option: str, what: str) -> click.BadParameter:
    return click.BadParameter(what, param_hint=option)


def _url(url: str | None) -> str:
    accepted = "accepted: https://..., ssh://..., USER@HOST:PATH, file:///... or an absolute path"
    if not url:
        raise click.UsageError(f"--from is needed: where the repository is; {accepted}")
    if "://" in url and (urlsplit(url).password or (urlsplit(url).username and "http" in url[:5])):
        raise _wrong("--from", "a login stands in it; use ssh:// with --deploy-key")
    try:
        if not _SCP.fullmatch(url):
            validators.git_repository(url)
    except ValueError as error:
        raise _wrong("--from", f"given {url!r}: {error}; {accepted}") from None
    return url


def _ref(ref: str | None) -> str:
    if not ref:
        raise click.UsageError("--ref is needed: the branch or the signed tag to follow")
    try:
        return validators.git_ref(ref)
    except ValueError as error:
        raise _wrong("--ref", f"given {ref!r}: {error}; accepted: a branch or a tag") from None


def _inventory(path: str | None, target: str | None) -> str:
    found = path or target or ""
    parts = Path(found).parts
    if Path(found).suffix not in targets.SUFFIXES or ".." in parts or Path(found).is_absolute():
        raise _wrong(
            "--inventory",
            "accepted: the path of an inventory (.yml, .yaml, .py) within the repository; "
            f"given {found or 'nothing'}",
        )
    return str(Path(found))


def _signers(path: str | None) -> str:
    if not path:
        raise click.UsageError(
            "--signers is needed: a file with who may sign, lines such as"
            " `you@example.org ssh-ed25519 AAAA...` (ssh-keygen(1), ALLOWED SIGNERS)"
        )
    text = _text("--signers", path)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    wrong = [line for line in lines if not _SIGNER.fullmatch(line.strip())]
    if wrong or not lines:
        shown = f"{wrong[0][:60]!r} is none" if wrong else "it names nobody"
        raise _wrong(
            "--signers",
            f"{path}: {shown}; accepted: lines such as `you@example.org ssh-ed25519 AAAA...`",
        )
    return text


def _key(path: str) -> str:
    text = _text("--deploy-key", path)
    words = ["ssh-keygen", "-y", "-P", "", "-f", str(Path(path).expanduser())]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["ssh-keygen does not take it"])[-1]
        raise _wrong(
            "--deploy-key",
            f"{path}: {said}; accepted: a private key of mode 600 without a passphrase",
        )
    return text


def _keys_of_server(url: str, path: str | None) -> str:
    """Return the lines of known_hosts for the server of a repository that ssh is asked for."""
    parts = urlsplit(url) if url.startswith("ssh://") else None
    scp = None if "://" in url else _SCP.fullmatch(url)
    name = (parts and parts.hostname) or (scp and scp[1])
    if not name:
        return ""
    port = (parts and parts.port) or 22
    known = name if port == 22 else f"[{name}]:{port}"
    file = Path(path or _KNOWN_HOSTS).expanduser()
    found = openssh.run(["ssh-keygen", "-F", known, "-f", str(file)], failing=True)
    lines = [line for line in found.splitlines() if line and not line.startswith("#")]
    if not lines:
        raise _wrong(
            "--known-hosts",
            f"{file} has no key of {known}; get it from whoever runs the server, or connect once"
            f" and compare: ssh {'' if port == 22 else f'-p {port} '}{name}",
        )
    return "\n".join(lines) + "\n"


def _text(option: str, path: str) -> str:
    try:
        return own_files.read(Path(path).expanduser()).rstrip("\n") + "\n"
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not a text"
        raise _wrong(option, f"{path}: {why}; accepted: a file on this machine") from None
