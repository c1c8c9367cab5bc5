"""The settings reference and the JSON Schema of YAML inventories, written from the model.

python -m toolkit.settings.reference [--check]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from pyinfra.api.arguments import all_argument_meta
from pyinfra.connectors.ssh import connector_data_meta

from toolkit.settings.contradictions import general, mounts
from toolkit.settings.model import Settings
from toolkit.settings.rollout import Rollout
from toolkit.settings.sandbox import presets
from toolkit.settings.section import Section
from toolkit.settings.sources import describe, environment, function_inventory, yaml_inventory
from toolkit.settings.sources.layers import connector_types

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs"
_JSON_TYPES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
}


class _Described(GenerateJsonSchema):
    """A JSON Schema in which every key says what it means."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        for name, text in describe.meanings(cast("type[BaseModel]", schema["cls"])).items():
            found["properties"][name]["description"] = text
        return found


def documents() -> dict[Path, str]:
    """Return the generated files and what they have to contain."""
    return {
        DOCUMENTATION / "settings.md": reference(),
        DOCUMENTATION / "inventory.schema.json": json.dumps(schema(), indent=2) + "\n",
    }


def reference() -> str:
    """Return `docs/settings.md`."""
    sections: dict[str, list[describe.Key]] = {"": []}
    for key in describe.all_keys():
        section = key.name.rpartition(".")[0]
        sections.setdefault(section, []).append(key)
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["one_line"] = _one_line
    templates.filters["cell"] = lambda text: _one_line(text).replace("|", "\\|")
    return templates.get_template("settings.md.j2").render(
        sections=sections,
        about={name: _section_meaning(name) for name in sections},
        default=_default,
        variables=environment.VARIABLES,
        not_supported=environment.NOT_SUPPORTED,
        owned=general.OWNED_CONFIGURATION,
        targets=mounts.TAKEN_TARGETS,
        presets={name: presets.text(name) for name in presets.NAMES},
    )


def schema() -> dict[str, Any]:
    """Return the JSON Schema of YAML inventories."""
    settings = _schema_of(Settings)
    definitions = settings.pop("$defs", {})
    settings["description"] = "Settings of one deployment on one host."
    settings.pop("title", None)
    connection = {
        key: {
            **({"type": _JSON_TYPES[kind]} if kind in _JSON_TYPES else {}),
            **(
                {"description": connector_data_meta[key].description}
                if key in connector_data_meta
                else {}
            ),
        }
        for key, kind in sorted(connector_types().items())
        if not key.startswith("fake_")
    }
    host = {
        "type": ["object", "null"],
        "description": "Connection data of pyinfra and settings.",
        "properties": {**connection, **settings["properties"]},
        "patternProperties": {
            f"^({'|'.join(sorted(all_argument_meta))})$": {
                "description": "A global argument of pyinfra's operations."
            }
        },
        "additionalProperties": False,
    }
    group = {
        "type": ["object", "null"],
        "properties": {
            "hosts": {
                "type": ["array", "null"],
                "items": {"type": "string"},
                "description": "Names of hosts that are under `hosts`.",
            },
            "settings": {"$ref": "#/$defs/Host"},
        },
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Inventory of openclaw-pyinfra",
        "type": "object",
        "properties": {
            "all": {"$ref": "#/$defs/Host", "description": "For every host."},
            "groups": {
                "type": ["object", "null"],
                "description": "For some hosts; a host may be in several, the last one wins.",
                "propertyNames": {"pattern": f"^(?!all$){yaml_inventory.GROUP_NAME}$"},
                "additionalProperties": {"$ref": "#/$defs/Group"},
            },
            "hosts": {
                "type": "object",
                "description": "The hosts by name, and what is for one of them alone.",
                "minProperties": 1,
                "additionalProperties": {"$ref": "#/$defs/Host"},
            },
            "function": {
                "type": "string",
                "description": "A Python function that returns hosts and groups: MODULE:FUNCTION.",
                "pattern": f"^{function_inventory.SCHEMA}$",
            },
            "rollout": {
                **_schema_of(Rollout),
                "type": ["object", "null"],
                "description": "In which steps a run changes the hosts (docs/rollout.md).",
            },
        },
        "anyOf": [{"required": ["hosts"]}, {"required": ["function"]}],
        "additionalProperties": False,
        "$defs": {**definitions, "Group": group, "Host": host},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the generated files, or with `--check` return 1 if one of them is not current."""
    parser = argparse.ArgumentParser(prog="python -m toolkit.settings.reference")
    parser.add_argument("--check", action="store_true", help="only say which are not current")
    check = parser.parse_args(arguments).check
    stale = [
        path
        for path, text in documents().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if check and stale:
        names = ", ".join(f"docs/{path.name}" for path in stale)
        print(f"stale: {names}; run: python -m toolkit.settings.reference", file=sys.stderr)
        return 1
    for path in stale:
        path.write_text(documents()[path], encoding="utf-8")
    return 0


def _section_meaning(name: str) -> str:
    if not name:
        return ""
    section: type[Section] = describe.type_at(name.split(".")).base  # type: ignore[union-attr]
    return _one_line(section.__doc__ or "")


def _default(key: describe.Key) -> str:
    value = key.field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if value in ((), {}):
        return "empty"
    return f"`{json.dumps(value)}`" if isinstance(value, (bool, int, float)) else f"`{value}`"


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    tidied: dict[str, Any] = _tidy(model.model_json_schema(schema_generator=_Described))
    return tidied


def _tidy(node: Any) -> Any:
    """Drop pydantic's titles and join the lines of descriptions."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _one_line(value) if key == "description" and isinstance(value, str) else _tidy(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
    }


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


if __name__ == "__main__":
    sys.exit(main())
