"""The generated reference is complete and current."""

from toolkit.settings import reference
from toolkit.settings.sources.describe import all_keys
from toolkit.settings.sources.environment import VARIABLES


def test_generated_files_are_current():
    for path, text in reference.documents().items():
        assert path.read_text() == text, "run: python -m toolkit.settings.reference"


def test_every_key_and_every_variable_is_documented():
    text = reference.reference()
    for key in all_keys():
        assert f"| `{key.name}` |" in text
        assert key.meaning, key.name
    for variable in VARIABLES:
        assert f"`{variable.name}`" in text


def test_check_tells_stale_files_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reference, "DOCUMENTATION", tmp_path)
    assert reference.main(["--check"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "docs/settings.md, docs/inventory.schema.json" in message
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
