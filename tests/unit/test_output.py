"""The output of commands: any bytes, and an end to it."""

from __future__ import annotations

import pytest
from gevent.subprocess import PIPE, Popen
from pyinfra.connectors import ssh, util

from toolkit import output
from toolkit.output import OutputError, read_output_buffers


def read(command: str, timeout: float | None = 60) -> list[tuple[str, str]]:
    process = Popen(["sh", "-c", command], stdout=PIPE, stderr=PIPE)
    try:
        found = read_output_buffers(process.stdout, process.stderr, timeout, False, "")
        return [(line.buffer_name, line.line) for line in found]
    finally:
        process.kill()
        process.wait()


def test_any_bytes_are_lines_of_text() -> None:
    said = read("printf 'a\\377b\\n\\nü'; printf 'c\\000d' >&2")
    assert [line for name, line in said if name == "stdout"] == ["a\ufffdb", "", "ü"]
    assert [line for name, line in said if name == "stderr"] == ["c\x00d"]


def test_a_line_without_end_comes_in_pieces_and_the_end_of_much_is_kept() -> None:
    said = read("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end")
    assert said[-1] == ("stdout", "end")
    assert max(len(line) for _, line in said) <= output.LONGEST_LINE + output.CHUNK
    assert sum(len(line) for _, line in said) <= output.KEPT_CHARACTERS


def test_too_much_and_nothing_at_all_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="more than 64 MiB"):
        read("cat /dev/zero >&2")
    monkeypatch.setattr(output, "SILENCE_SECONDS", 0.5)
    with pytest.raises(OutputError, match="did not end"):
        read("sleep 1000")
    with pytest.raises(OutputError, match="did not end"):
        read("while :; do echo x; sleep 0.1; done", timeout=0.5)


def test_a_log_that_is_followed_may_be_silent_and_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(output, "MOST_BYTES", 10)
    assert read("sleep 0.5; seq 100", timeout=None)[-1] == ("stdout", "100")


def test_pyinfra_reads_so() -> None:
    output.install()
    assert ssh.read_output_buffers is util.read_output_buffers is read_output_buffers
