"""Settings put into a project file: what is replaced, what is added, and that the rest stays as it was written."""

import subprocess
import sys
import tomllib
from pathlib import Path

import merge_toml

TARGET = """\
# the head

[model]
name = "m" # its name
features = [
    "a", # [first]
    "b",
]

# --- what is asked ---
[gate]
rules = ["x >= 1"]

[pipeline]
module = "pipeline"
"""


def test_a_setting_takes_the_place_of_one_of_the_same_name() -> None:
    text, changes = merge_toml.merged('[gate]\n# stricter\nrules = [\n  "x >= 2",\n]\n', TARGET)
    assert tomllib.loads(text)["gate"] == {"rules": ["x >= 2"]}
    assert '# --- what is asked ---\n[gate]\n# stricter\nrules = [\n  "x >= 2",\n]\n' in text
    assert changes == [("gate", "~ rules")]


def test_what_is_not_named_stays_as_it_was_written() -> None:
    text, _ = merge_toml.merged("[pipeline]\nworkers = 2\n", TARGET)
    assert text == TARGET.replace("# the head\n\n", "# the head\n") + "workers = 2\n"


def test_a_new_table_follows_the_one_it_follows_there() -> None:
    text, changes = merge_toml.merged('[gate]\nslices = ["a"]\n\n[serving]\nkey = "id"\n', TARGET)
    assert list(tomllib.loads(text)) == ["model", "gate", "serving", "pipeline"]
    assert changes == [("gate", "+ slices"), ("serving", "new: key")]


def test_putting_it_in_twice_changes_nothing_more() -> None:
    additions = '[gate]\nrules = ["x >= 2"]\n\n[serving]\nkey = "id"\n'
    once, _ = merge_toml.merged(additions, TARGET)
    assert merge_toml.merged(additions, once) == (once, [])


def test_the_command_says_what_changes(tmp_path: Path) -> None:
    additions, target = tmp_path / "more.toml", tmp_path / "roadworthy.toml"
    additions.write_text('[serving]\nkey = "id"\n')
    target.write_text(TARGET)
    command = [sys.executable, merge_toml.__file__, str(additions), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "  [serving]  new: key\n"
    assert tomllib.loads(target.read_text())["serving"] == {"key": "id"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["more.toml", "roadworthy.toml"]
