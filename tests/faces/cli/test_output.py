"""How values are shown."""

import json

import msgspec
import pytest

from roadworthy.faces.cli import output


def test_a_piped_table_is_aligned_columns(capsys) -> None:
    output.table(["name", "n"], [["a", 1.23456], ["日本", None], ["é", [1]]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["name  n", "a     1.235", "日本  -", "é     [1]"]


def test_what_a_terminal_would_obey_is_shown(capsys) -> None:
    output.table(["name"], [["\x1b[31mred\x07\n\r\x9b"]])
    shown = capsys.readouterr().out
    assert "\\x1b[31mred\\x07⏎\\x0d\\x9b" in shown
    assert not set("\x1b\x07\r\x9b") & set(shown)


def test_json_knows_neither_nan_nor_objects(capsys) -> None:
    output.print_json({"a": float("nan"), "b": object, "c": "é"})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": "<class 'object'>", "c": "é"}


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (0.0123, "12 ms"), (1.234, "1.2 s"), (99.94, "99.9 s"), (100, "1 min 40 s"), (3725, "1 h 02 min"), (0.0999, "0.1 s")],
)  # fmt: skip
def test_lengths_of_time(seconds, shown) -> None:
    assert output.duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (123_456, "123 KB"), (999_999, "1 MB"), (2**31, "2.15 GB"), (10**15, "1000 TB")],
)  # fmt: skip
def test_sizes(count, shown) -> None:
    assert output.size(count) == shown


def test_moments_that_no_calendar_has_are_shown_as_numbers() -> None:
    assert output.when(0.0) == "1970-01-01 00:00:00"
    assert output.when(None) == "-"
    assert output.when(1e300) == "1e+300"


def test_pairs_leave_out_what_is_empty(capsys) -> None:
    output.pairs([("a", 1), ("empty", ""), ("none", None), ("longer", 0)])
    assert capsys.readouterr().out == "a       1\nlonger  0\n"


def test_records_are_json(capsys) -> None:
    class Record(msgspec.Struct):
        a: int

    output.print_json([Record(1)])
    assert json.loads(capsys.readouterr().out) == [{"a": 1}]
