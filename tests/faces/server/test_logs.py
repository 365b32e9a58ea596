"""Logs: one line an entry, whatever strangers write."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as some

from roadworthy.faces.server import logs

WORDS = some.text(min_size=1)


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("roadworthy.server", logging.INFO, "x.py", 1, "%s", (message,), None)
    if fields:
        made.fields = fields
    return made


@given(WORDS, WORDS)
def test_an_entry_is_one_line_of_text(message: str, value: str) -> None:
    for made in (record(message), record(message, path=value)):
        line = logs._Text().format(made)
        assert line.splitlines() == [line]
        assert not any(c < " " or "\x7f" <= c <= "\x9f" for c in line)


@given(some.text(alphabet=some.characters(exclude_categories=["Cs"])), some.text(alphabet=some.characters(exclude_categories=["Cs"])))  # fmt: skip
def test_an_entry_is_one_line_of_json_that_says_the_same(message: str, value: str) -> None:
    line = logs._Json().format(record(message, path=value))
    assert line.splitlines() == [line]
    said = json.loads(line)
    assert (said["message"], said["path"]) == (message, value)


def test_no_line_of_a_traceback_looks_like_an_entry() -> None:
    try:
        raise ValueError("x\n2026-01-01T00:00:00.000Z INFO roadworthy.server forged")
    except ValueError as problem:
        made = logging.LogRecord(
            "a", logging.ERROR, "x.py", 1, "broke", (), (type(problem), problem, problem.__traceback__)
        )
    lines = logs._Text().format(made).splitlines()
    assert all(line.startswith("    ") for line in lines[1:])
    assert "traceback" in json.loads(logs._Json().format(made))


def test_requests_are_logged_without_their_queries(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "roadworthy.access"):
        logs.access(
            source="10.0.0.1", who="ada", method="GET", path="/a b", status=200, duration_s=0.00123, request_id="x"
        )
    line = logs._Text().format(caplog.records[0])
    assert line.endswith('from=10.0.0.1 who=ada method=GET path="/a b" status=200 ms=1.23 id=x')
