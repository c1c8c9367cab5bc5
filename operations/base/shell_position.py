"""Where in a shell script a place is: within quotes, a here-document, a comment, or none of them.

No more of the shell's grammar than tells these apart. In `$( )` a pattern of `case` has both of
its parentheses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_HERE = re.compile(r"<<-?[ \t]*(['\"]?)(\w+)\1")
_WORD_ENDS = " \t\n;&|()"


@dataclass(frozen=True)
class Position:
    """A place: what is open there, the innermost last (`'`, `"`, `#`, `(`, or a here-document),
    here-documents that begin with the next line, and the line so far."""

    open: tuple[str, ...] = ()
    coming: tuple[str, ...] = ()
    line: str = ""

    @property
    def unquoted(self) -> bool:
        """Whether a word that begins here is read as the shell's own grammar has it."""
        return self._within in ("", "(") and not self.line.endswith("\\")

    @property
    def _within(self) -> str:
        return self.open[-1] if self.open else ""

    def after(self, text: str) -> Position:
        """Return the place after some more of the script.

        Raises:
            ValueError: the text has a backquote, of which nobody knows where it ends.
        """
        at, index = self, 0
        while index < len(text):
            at, index = at._step(text, index)
        return at

    def _step(self, text: str, index: int) -> tuple[Position, int]:
        character, within = text[index], self._within
        if within.startswith("<"):
            return self._in_document(text, index)
        if character == "\n" and within != "'" and within != '"':
            there = self._closed() if within == "#" else self
            coming = tuple(reversed(there.coming))
            return Position((*there.open, *coming)), index + 1
        go_on = replace(self, line=self.line + character)
        if within == "#":
            return go_on, index + 1
        if within == "'":
            return (go_on._closed() if character == "'" else go_on), index + 1
        if character == "\\":
            return replace(self, line=self.line + text[index : index + 2]), index + 2
        if character == "`":
            raise ValueError("a backquote: write $( )")
        if character == '"':
            return (go_on._closed() if within == '"' else go_on._opened('"')), index + 1
        if text.startswith("$(", index):
            return replace(go_on._opened("("), line=self.line + "$("), index + 2
        if within == '"':
            return go_on, index + 1
        return go_on._grammar(text, index, self.line)

    def _grammar(self, text: str, index: int, before: str) -> tuple[Position, int]:
        """What a character opens or closes outside of quotes; `self` is the place after it."""
        character = text[index]
        if character == "'":
            return self._opened("'"), index + 1
        if character == "#" and (not before or before[-1] in _WORD_ENDS):
            return self._opened("#"), index + 1
        if self._within == "(" and character == "(":
            return self._opened("("), index + 1
        if self._within == "(" and character == ")":
            return self._closed(), index + 1
        if found := _HERE.match(text, index):
            return replace(self, coming=(*self.coming, "<" + found[2])), found.end()
        return self, index + 1

    def _in_document(self, text: str, index: int) -> tuple[Position, int]:
        end = text.find("\n", index)
        if end < 0:
            return replace(self, line=self.line + text[index:]), len(text)
        line = self.line + text[index:end]
        ended = line.strip("\t") == self._within[1:]
        return replace(self._closed() if ended else self, line=""), end + 1

    def _opened(self, what: str) -> Position:
        return replace(self, open=(*self.open, what))

    def _closed(self) -> Position:
        return replace(self, open=self.open[:-1])
