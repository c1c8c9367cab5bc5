"""Who connects to which ports of the host, in each profile of `exposure`: measured, and compared
with the table in docs/exposure.md."""

from __future__ import annotations

import pytest

from tests.e2e.harness import ROOT
from tests.e2e.reached import Reached

pytestmark = [pytest.mark.engine, pytest.mark.long]


def test_the_table_of_the_docs_is_what_is_measured(reached: Reached) -> None:
    viewers = {
        "the control machine": None,
        "a neighbour": reached.neighbour,
        "the proxy's machine": reached.other,
    }
    measured: dict[tuple[str, str], list[str]] = {}
    for profile in reached.profiles:
        reached.exposed(profile)
        for name, viewer in viewers.items():
            for family in reached.addresses:
                ports = reached.answering(family, viewer)
                measured.setdefault((name, family), []).append(", ".join(map(str, ports)))
    table = ["| from | over | " + " | ".join(f"`{one}`" for one in reached.profiles) + " |"]
    table += ["|---|---" + "|---" * len(reached.profiles) + "|"]
    table += [f"| {who} | {over} | {' | '.join(row)} |" for (who, over), row in measured.items()]
    print(*table, sep="\n")
    documented = (ROOT / "docs" / "exposure.md").read_text(encoding="utf-8")
    assert "\n".join(table) in documented, "docs/exposure.md has another table"
