"""HTML pages that need nothing from outside; what anybody said is text in them."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from operations.base.templates import DIRECTORY
from toolkit.terminal import printable


def render(name: str, /, **variables: Any) -> str:
    """Return the page of a template (relative to `templates/`), every value escaped."""
    environment = Environment(
        loader=FileSystemLoader(DIRECTORY),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return printable(environment.get_template(name).render(**variables))
