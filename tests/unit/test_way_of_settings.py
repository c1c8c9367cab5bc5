"""How far `settings` travels through the swap of the gateway: what was reached stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.way_of_settings import Code, stops


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "most", "returns"), [(0, 20, 8), (1, 20, 8)], ids=["container", "service"]
)
def test_settings_go_no_further(form: int, most: int, returns: int) -> None:
    found = stops(Code(form=form))
    assert len(found) <= most, found
    assert len(found) - len(set(found)) <= returns, found


def test_what_is_counted(tmp_path: Path) -> None:
    """Each function once, inner calls first; a file that is come back to is another stop."""
    (tmp_path / "toolkit").mkdir()
    (tmp_path / "operations").mkdir()
    (tmp_path / "operations/a.py").write_text(
        "from operations import b\n"
        "def start(settings):\n    near(b.inner(settings), settings)\n    b.inner(settings)\n"
        "def near(x, settings):\n    b.Way(settings).uid\n    b.narrow(settings.name)\n"
    )
    (tmp_path / "operations/b.py").write_text(
        "from operations import c\n"
        "class Way:\n    def uid(self):\n        return c.last(self.settings)\n"
        "def inner(settings): ...\ndef narrow(name): ...\n"
    )
    (tmp_path / "operations/c.py").write_text(
        "from operations import d\n"
        "class Kind:\n    made: Callable[[Settings], str]\n"
        "KIND = Kind(made=d.first)\ndef last(settings):\n    KIND.made(settings)\n"
    )
    (tmp_path / "operations/d.py").write_text("def first(settings): ...\n")
    found = stops(Code(tmp_path), "operations.a.start")
    assert found == [f"operations.{name}" for name in "ababcd"]
