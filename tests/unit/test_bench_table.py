"""The table of bench/deploy.py, from results that are made up."""

import json

from bench import deploy as bench
from lab.hosts import Host
from tests.e2e.harness import Result


def result(seconds: float, **stages: float) -> Result:
    rows = [
        {"name": name, "host": "h", "seconds": value, "changed": 0}
        for name, value in stages.items()
    ]
    return Result(["./claw"], 0, json.dumps({"stages": rows}), "", seconds)


def test_stages_side_by_side_with_the_ratio_to_a_bare_ssh():
    series = bench.Series("ssh", lambda: result(0), Host("h", "bookworm", "10.91.0.2"))
    series.fresh = result(90, Engine=20, Images=60)
    series.again = [result(1, Engine=0.1), result(3, Engine=0.3), result(2, Engine=0.2)]
    series.floor = [0.5, 0.4, 0.6]
    assert bench.table([series], "bookworm").splitlines()[2:] == [
        "| stage | ssh, fresh | ssh, no change |",
        "|---|---|---|",
        "| Engine | 20.00 | 0.20 |",
        "| Images | 60.00 |  |",
        "| **whole command** | 90.0 | 2.00 |",
        "| **`ssh host true`** |  | 0.50 |",
        "| **ratio** |  | 4.0 |",
    ]
