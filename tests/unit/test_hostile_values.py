"""Every template with hostile values in every variable: shell scripts are run, other files read
back by a parser of their language, to see that a value is never more than a value.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from operations.base import templates
from operations.base.quoting import UnsafeValueError, language
from tests.unit.hostile import Variables, conditions, parsed, readings, wanted

ALL = [str(path.relative_to(templates.DIRECTORY)) for path in templates.DIRECTORY.rglob("*.j2")]
NOBODY = 65534
INSIDE = {"backup/started.sh.j2"}
"""The middle of functions, whose own `fail` ends it: it is run in the scripts that have them."""
TEXT_TOOLS = (
    *("awk", "base64", "basename", "cat", "cmp", "cut", "dirname", "env", "find", "getent", "grep"),
    *("head", "id", "ls", "mktemp", "od", "printf", "sed", "sha256sum", "sh", "sort", "stat"),
    *("tail", "tee", "timeout", "tr", "true", "uname", "wc", "xargs"),
)
"""What a script really runs; as nobody, in a directory of its own."""
FAKES = (
    *(
        "apparmor_parser",
        "apt-cache",
        "apt-config",
        "apt-get",
        "chmod",
        "chown",
        "cp",
        "curl",
        "df",
    ),
    *("docker", "dockerd", "dpkg", "dpkg-query", "flock", "git", "groupadd"),
    *(
        "gzip",
        "hostname",
        "install",
        "ip",
        "ip6tables",
        "iptables",
        "journalctl",
        "ldd",
        "loginctl",
    ),
    *("mkdir", "mmdebstrap", "mv", "rm", "rmdir", "runuser", "service", "setpriv", "setsid"),
    *("sleep", "start-stop-daemon", "systemctl", "systemd-run", "tar", "touch"),
    *("unshare", "useradd", "usermod"),
)
FAKE = """#!/bin/sh
case $0 in */docker) [ "$1 $2" != "image inspect" ] || echo sha256:1 ;; esac
[ {status} = 1 ] || exec /bin/cat >/dev/null
/bin/cat >/dev/null
exit {status}
"""
ONE_BY_ONE = """
number=0
for status; do
  PATH=$BIN$status /bin/sh -x script$number activate detached >/dev/null 2>said$number
  [ ! -e canary ] || { echo "Canary: it was run" >>said$number; rm -f canary; }
  echo $number
  number=$((number + 1))
done
"""
DATE = '#!/bin/sh\necho x >>"$COUNT"\nset -- $(/usr/bin/wc -l <"$COUNT")\necho $(($1 * 1000))\n'


def hostile(canary: object) -> list[str]:
    """Return values that break out of whatever there is to break out of, if nothing quotes them."""
    touch = f"/usr/bin/touch {canary}"
    lines = "".join(
        f"\n{end}\n{touch}\n" for end in ("END", "OPENCLAW_FILE_END", "END_OF_SCRIPT_1_1")
    )
    return [
        f"/a'; {touch}; ' $({touch}) `{touch}` & {touch} | {touch}; \\",
        f'/a"; {touch}; " ${{x:-$({touch})}} \'"$({touch})"\' %h $$ {{{{ a }}}} *',
        f"/{lines}; {touch} #\n1e {touch}\n|e {touch} |e\n/w {canary}\n",
        f"/|{touch}|e;1e {touch}\n&/e;1e {touch}\n#\\n\\\n{touch}\n",
        f'/"; system("{touch}"); " ~ / {{ system("{touch}") }}\n{touch}\n',
    ]


def ways(name: str, evil: str = "") -> Iterable[tuple[str, Variables]]:
    """Yield a template, filled with hostile values, for each of the ways through it."""
    tree = parsed(name)
    for empty in [(), *([one] for one in conditions(tree)), conditions(tree)]:
        variables = Variables(tree, evil, empty)
        yield templates.render(name, **variables.all(wanted(name))), variables


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of nobody's with the commands that a script finds."""
    made = tmp_path_factory.mktemp("hostile")
    for status in (0, 1):
        commands = made / f"bin{status}"
        commands.mkdir()
        for one in TEXT_TOOLS:
            (commands / one).symlink_to(f"/usr/bin/{one}")
        for one in FAKES:
            (commands / one).write_text(FAKE.format(status=status))
        (commands / "date").write_text(DATE)
        for file in [commands, *commands.iterdir()]:
            if not file.is_symlink():
                file.chmod(0o755)
    for path in (made, *made.parents[:2]):
        path.chmod(0o711)
    (made / "work").mkdir()
    (made / "work").chmod(0o777)
    return made


def run(scripts: list[tuple[str, int]], directory: Path) -> None:
    """Run scripts, one after the other, each with the commands that end as it is told; none may
    leave the canary, and each is to be grammar.
    """
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    work = directory / "work"
    (work / "canary").unlink(missing_ok=True)
    for number, (text, _) in enumerate(scripts):
        (work / f"script{number}").write_text(text)
        (work / f"said{number}").write_text("")
        (work / f"said{number}").chmod(0o666)
    variables = {"COUNT": str(work / "count"), "TMPDIR": str(work), "BIN": str(directory / "bin")}
    done = subprocess.run(
        ["/bin/sh", "-c", ONE_BY_ONE, "", *(str(status) for _, status in scripts)],
        stdin=subprocess.DEVNULL,
        cwd=work,
        env={**variables, "PATH": str(directory / "bin0")},
        capture_output=True,
        text=True,
        timeout=60 * len(scripts),
        **user,
    )
    assert done.stdout.split() == [str(number) for number in range(len(scripts))], done.stderr
    for number, (text, _) in enumerate(scripts):
        said = (work / f"said{number}").read_text(errors="replace")
        assert "Canary" not in said, f"{text}\n{said}"
        assert "yntax error" not in said, f"{text}\n{said[-2000:]}"


def with_functions(script: str) -> str:
    """Return a script that also runs each of its functions by itself."""
    names = re.findall(r"^(\w+)\(\) [{(]", script, re.MULTILINE)
    body = re.sub(r"^main\b.*\Z", "", script.rstrip(), flags=re.MULTILINE)
    return "\n".join(
        [body, "set +eu", *(f"({name} /a /b) </dev/null" for name in names if name != "main")]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [one for one in ALL if language(one) == "sh" and one not in INSIDE]
)
def test_no_value_is_run_by_a_script(name: str, directory: Path) -> None:
    scripts: list[tuple[str, int]] = []
    for number, evil in enumerate(hostile(directory / "work" / "canary")):
        for script, _ in ways(name, evil):
            for text in [with_functions(script), *([] if number else [script])]:
                scripts += [(text, status) for status in ((0,) if number else (0, 1))]
            if number:
                break
    run(list(dict.fromkeys(scripts)), directory)


@pytest.mark.slow
@pytest.mark.parametrize("name", [one for one in ALL if language(one) == "sh"])
def test_no_value_changes_how_a_script_is_read(name: str) -> None:
    harmless = list(ways(name))
    read = readings([script for script, _ in harmless])
    expected, given = [], []
    for evil in hostile("X"):
        given += [script for script, _ in ways(name, evil)]
        for (_, variables), text in zip(harmless, read, strict=True):
            for path in variables.filters:
                named = variables.named(path)
                for form, value in (
                    (json.dumps(named), json.dumps(evil, ensure_ascii=False)),
                    (named, evil),
                ):
                    text = text.replace(form, value.replace("'", "'\"'\"'"))
            expected.append(text)
    assert readings(given) == expected


@pytest.mark.parametrize("name", ALL)
def test_what_a_value_must_be_is_seen_to(name: str) -> None:
    tree = parsed(name)
    for path in Variables(tree).verified():
        with pytest.raises(UnsafeValueError):
            for empty in [(), *([one] for one in conditions(tree)), conditions(tree)]:
                variables = Variables(tree, "$(touch X)", empty, forced=path)
                templates.render(name, **variables.all(wanted(name)))
            pytest.fail(path)


# Other languages


def compose(text: str) -> Any:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        if isinstance(value, str):
            if value == "${OPENCLAW_GATEWAY_TOKEN}":  # the template's own word
                return value
            assert "$" not in value.replace("$$", ""), value
            return value.replace("$$", "$")
        return value

    return plain(yaml.safe_load(text))


def unit(text: str) -> Any:
    """Return the settings of a systemd unit, whose values are words in quotes or one text."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith(("#", "[")):
            key, equals, value = line.partition("=")
            assert equals and re.fullmatch("[A-Z][A-Za-z]*", key), line
            if value.startswith('"'):
                assert "%" not in value.replace("%%", ""), line
                value = json.loads(value).replace("%%", "%")
            found.append((key, value))
    return found


def dockerfile(text: str) -> Any:
    """Return the instructions; a RUN as the shell of the image reads it."""
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
    shells = ("RUN", "")  # the latter of a file that is a part of one
    return [
        [line.partition(" ")[0], *shlex.split(line)] if line.partition(" ")[0] in shells else line
        for line in text.splitlines()
    ]


def sources(text: str) -> Any:
    return [line.partition(": ")[::2] for line in text.splitlines() if not line.startswith("#")]


def profile(text: str) -> Any:
    """Return the words of an AppArmor profile."""
    words = re.findall(r'"[^"\n]*"|[^\s"]+|"', re.sub(r"^ *#.*", "", text, flags=re.MULTILINE))
    return [re.sub(r"\\([*?^\[\]{}])", r"\1", word) for word in words]


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Any] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def page(text: str) -> Any:
    reader = Page()
    reader.feed(text)
    return reader.found


READERS: dict[str, Callable[[str], Any]] = {
    "yml": compose,
    "service": unit,
    "Dockerfile": dockerfile,
    "sources": sources,
    "apparmor": profile,
    "html": page,
    **dict.fromkeys(("caddy", "conf", "nft"), str.split),  # of verified values alone
}
ONE_LINE = ("Dockerfile", "sources", "apparmor")
"""Languages in which a line break is refused."""


@pytest.mark.parametrize("name", [one for one in ALL if language(one) != "sh"])
def test_a_value_is_read_back_as_it_was(name: str) -> None:
    read = READERS[language(name)]
    for evil in hostile("X"):
        if language(name) in ONE_LINE:
            evil = evil.replace("\n", " ").strip()
        if language(name) == "apparmor":
            evil = re.sub(r'["\\]', "", evil)
        for (harmless, variables), (given, _) in zip(ways(name), ways(name, evil), strict=True):
            expected = read(harmless)
            for path in variables.filters:
                expected = replaced(expected, variables.named(path), evil)
            assert read(given) == expected


def replaced(value: Any, named: str, evil: str) -> Any:
    if isinstance(value, str):
        return value.replace(named, evil)
    if isinstance(value, dict):
        return {key: replaced(one, named, evil) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(replaced(one, named, evil) for one in value)
    return value


@pytest.mark.parametrize("name", ["engine/docker.sources.j2", "images/gateway/Dockerfile.j2"])
def test_a_line_break_is_refused_where_it_would_end_a_value(name: str) -> None:
    with pytest.raises(UnsafeValueError):
        list(ways(name, "a\nb"))
