"""The refusal of templates that write a value without a filter of its place."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from jinja2 import DictLoader, UndefinedError

from operations.base import templates
from operations.base.quoting import Script, UnfilteredError, UnsafeValueError, joined

EVIL = "$(touch X) `touch X` '; touch X; ' \"; touch X; \"\nEND\n& | e % ${HOME} \\"


def rendered(name: str, text: str, **variables: Any) -> str:
    environment = templates.Templates(loader=DictLoader({name: text, "other.sh.j2": "true\n"}))
    return environment.get_template(name).render(**variables)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.sh.j2", "echo {{ a }}"),
        ("a.sh.j2", "echo {{ 'a constant' }}"),
        ("a.sh.j2", "echo {{ a | upper }}"),
        ("a.sh.j2", "echo {{ a | sh | replace('x', a) }}"),
        ("a.sh.j2", "echo {{ a | sh if a else a }}"),
        ("a.sh.j2", "echo {{ a | json }}"),
        ("a.sh.j2", "echo '{{ a | sh }}'"),
        ("a.sh.j2", 'echo "{{ a | sh }}"'),
        ("a.sh.j2", "echo \\{{ a | sh }}"),
        ("a.sh.j2", "# {{ a | sh }}"),
        ("a.sh.j2", "cat <<'END'\n{{ a | sh }}\nEND\n"),
        ("a.sh.j2", "cat <<END\n{{ a | script }}\nEND\n"),
        ("a.sh.j2", "x=\"$(cat <<'END'\n'\nEND\n)\" y='{{ a | sh }}'"),
        ("a.sh.j2", "{% if a %}'{% endif %}{{ a | sh }}"),
        ("a.sh.j2", "{% for b in a %}'{% endfor %}{{ a | sh }}"),
        ("a.sh.j2", "cat <<END\n{% include 'other.sh.j2' %}\nEND\n"),
        ("a.sh.j2", "{% include a %}"),
        ("a.sh.j2", "{% filter upper %}x{% endfilter %}"),
        ("a.sh.j2", "{% set b %}x{% endset %}"),
        ("a.sh.j2", "`{{ a | sh }}`"),
        ("a.yml.j2", "a: {{ a }}"),
        ("a.yml.j2", "a: {{ a | sh }}"),
        ("a.yml.j2", 'a: "{{ a | compose }}"'),
        ("a.yml.j2", "a: {{ a | plain }}"),
        ("a.service.j2", "User={{ a }}"),
        ("a.service.j2", "User={{ a | sh }}"),
        ("a.service.j2", "ExecStart={{ a | unit }}"),
        ("a.service.j2", "# {{ a | unit }}"),
        ("a.Dockerfile.j2", "RUN {{ a }}"),
        ("Dockerfile.j2", "RUN {{ a | sh }}"),
        ("Dockerfile.j2", 'LABEL a="{{ a | run }}"'),
        ("a.sources.j2", "URIs: {{ a }}"),
        ("a.apparmor.j2", "{{ a | path }}"),
        ("a.sh", "echo {{ a | sh }}"),
        ("a.conf.j2", "{{ a | sh }}"),
        ("a.html.j2", "{% autoescape false %}{{ a }}{% endautoescape %}"),
        ("a.html.j2", "{{ a | safe }}"),
    ],
)
def test_a_value_without_a_filter_of_its_place_is_refused(name: str, text: str) -> None:
    with pytest.raises(UnfilteredError, match=r"templates/.*, line \d+"):
        rendered(name, text, a=Script("a"))


@pytest.mark.parametrize(
    ("filter", "value"),
    [
        *(
            ("plain", bad)
            for bad in ("", " ", "a b", "~a", "a\n", "a;b", "$a", "'", '"', "%h", "é")
        ),
        *(("plain", bad) for bad in (["a", "b c"], [""], True, "a`b`", "a\\", "a|b", "a&", "a{")),
        *(("name", bad) for bad in ("", "1a", "a-b", "a b", "a\n")),
        *(("number", bad) for bad in ("", "1 ", "1\n", "x", "1;", True, None, "٣")),
        *(("script", bad) for bad in ("touch X", "touch" + Script(" X"))),
    ],
)
def test_what_is_only_verified_must_mean_nothing(filter: str, value: object) -> None:
    with pytest.raises(UnsafeValueError):
        rendered("a.sh.j2", f"{{{{ a | {filter} }}}}", a=value)


def test_a_word_is_one_word_and_runs_nothing(tmp_path: Any) -> None:
    text = 'set -- {{ a | sh }} {{ b | words }} "$(printf %s. {{ a | sh }})"\nprintf "%s\\0" "$@"\n'
    script = rendered("a.sh.j2", text, a=EVIL, b=[EVIL, ""])
    run = subprocess.run(["sh", "-euc", script], cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout.split("\0")[:-1] == [EVIL, EVIL, "", EVIL + "."], run.stderr
    assert not list(tmp_path.iterdir())


def test_only_scripts_of_templates_are_put_into_one() -> None:
    made = templates.render("images/engine.sh")
    assert made in rendered("a.sh.j2", "{{ a | script }}\nuse_engine x\n", a=made)
    assert rendered("a.sh.j2", "{{ a | script }}", a=joined(made, made)).count("use_engine()") == 2
    with pytest.raises(TypeError):
        joined(made, "touch X")  # type: ignore[arg-type]


def test_values_of_a_page_are_escaped() -> None:
    assert (
        rendered("a.html.j2", '<p title="{{ a }}">', a='"><b>') == '<p title="&#34;&gt;&lt;b&gt;">'
    )


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        rendered("a.sh.j2", "{{ a | sh }}")
