"""Models whose hash is of what they say: what follows from equal ones is worked out once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pydantic import BaseModel


class ByContent(BaseModel):
    """Base of a frozen model that is an argument of cached functions: the settings of a thousand
    hosts are mostly the same.

    What it says counts to the type (`1` is not `true`), and so does what was given and not left at
    its default: where either differs, so does the hash, and nothing kept is shared.
    """

    @cached_property
    def _hash(self) -> int:
        return hash(repr((self.model_dump(), self.model_dump(exclude_unset=True))))

    def __hash__(self) -> int:
        return self._hash

    def model_copy(self, **options: Any) -> Any:
        """Return a copy, see pydantic, with a hash of its own."""
        copied = super().model_copy(**options)
        vars(copied).pop("_hash", None)
        return copied
