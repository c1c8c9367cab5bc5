"""The base of every section of the settings.

What a key means stands in the text under it, as pydantic's `use_attribute_docstrings` has it, which
reads the source at every import: a tenth of a run's start. Only the reference needs the texts, so
`describe.meanings` reads them.
"""

from __future__ import annotations

from pydantic import ConfigDict

from toolkit.by_content import ByContent


class Section(ByContent):
    """Base of every section: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
