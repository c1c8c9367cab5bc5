"""The JSON Schema agrees with the loader of YAML inventories."""

from pathlib import Path

import pytest
import yaml

from toolkit.settings.reference import schema

jsonschema = pytest.importorskip("jsonschema")

EXAMPLES = Path(__file__).resolve().parents[2] / "inventories"


def errors(text):
    validator = jsonschema.Draft202012Validator(schema())
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_the_schema_is_one_and_accepts_what_the_loader_accepts():
    jsonschema.Draft202012Validator.check_schema(schema())
    assert errors((EXAMPLES / "example.yml").read_text()) == []
    assert errors((EXAMPLES / "lab.yml").read_text()) == []
    assert errors("all: {ssh_user: x, _sudo: true}\nhosts: {a: , b: {ssh_port: 1}}") == []
    assert errors("hosts: {a: {gateway: {cpus: 1.5, memory: 4G}, home_volume: null}}") == []
    agents = '{x: {mode: "off"}, y: {preset: personal, container: {ulimits: {nofile: "9"}}}}'
    assert errors(f"hosts: {{a: {{sandbox: {{preset: personal, agents: {agents}}}}}}}") == []


@pytest.mark.parametrize(
    "text",
    [
        "all: {}",
        "function: no_function_of_it",
        "hosts: {a: {gatway: {}}}",
        "hosts: {a: {gateway: {prot: 1}}}",
        "hosts: {a: {gateway: {version: 2026.10}}}",
        "hosts: {a: {gateway: {port: 0}}}",
        "hosts: {a: {ssh_port: x}}",
        "hosts: {a: {credentials: {K: secret}}}",
        "hosts: {a: {credentials: {K: {env: A, file: b}}}}",
        "hosts: {a: {sandbox: {preset: mine}}}",
        "hosts: {a: {sandbox: {mode: never}}}",
        "hosts: {a: {sandbox: {agents: {x: {images: {}}}}}}",
        "hosts: {a: {sandbox: {container: {user: node}}}}",
        "hosts: {a: {}}\ngroups: {all: {}}",
        "hosts: {a: {}}\ngroups: {g: {setings: {}}}",
        "all: {}",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(text):
    assert errors(text)
