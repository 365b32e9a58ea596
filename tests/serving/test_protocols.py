import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.nouns.errors import Code, Fault
from roadworthy.serving.protocols import (
    CSV,
    JSON,
    JSON_LINES,
    ContentType,
    UnsupportedType,
    accepted,
    answer,
    content_type,
    parse,
)

NAMES = ["a", "b"]
COLUMNS = {"a": [1, 2], "b": ["x", None]}
AS_JSON = ContentType(JSON)


def columns(rows) -> dict:
    return {name: list(values) for name, values in rows.columns.items()}


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, None]]}},
        {"dataframe_split": {"index": [4, 5], "columns": ["b", "a"], "data": [["x", 1], [None, 2]]}},
        {"dataframe_records": [{"a": 1, "b": "x"}, {"b": None, "a": 2, "c": 3}], "params": {"x": 1}},
        {"instances": [{"a": 1, "b": "x"}, {"a": 2, "b": None}]},
        {"instances": [[1, "x"], [2, None]]},
        {"inputs": {"a": [1, 2], "b": ["x", None]}},
        {"inputs": [{"a": 1, "b": "x"}, {"a": 2, "b": None}]},
        {"inputs": [[1, "x"], [2, None]], "params": None},
    ],
)  # fmt: skip
def test_all_forms_of_mlflow_say_the_same(body) -> None:
    rows = parse(json.dumps(body).encode(), AS_JSON, NAMES)
    assert columns(rows) == COLUMNS
    assert rows.count == 2


def test_smaller_forms() -> None:
    assert columns(parse(b'{"inputs": {"a": 1, "b": "x"}}', AS_JSON, NAMES)) == {"a": [1], "b": ["x"]}
    assert columns(parse(b'{"instances": [1, 2]}', AS_JSON, ["a"])) == {"a": [1, 2]}
    assert parse(b'{"dataframe_records": []}', AS_JSON, NAMES).count == 0


def test_lines_and_csv() -> None:
    assert columns(parse(b'{"a":1,"b":"x"}\n\n{"a":2,"b":null}\n', ContentType(JSON_LINES), NAMES)) == COLUMNS
    rows = parse(b'\xef\xbb\xbfa,b\r\n1,"x, ""y"""\r\n2,\r\n', ContentType(CSV), NAMES)
    assert columns(rows) == {"a": ["1", "2"], "b": ['x, "y"', ""]}
    assert rows.source == "text"
    assert columns(parse(b"1,x\n2,\n", ContentType(CSV, header=False), NAMES)) == {"a": ["1", "2"], "b": ["x", ""]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON"), (b"nonsense", "JSON"), (b"[]", "object"), (b"{}", "exactly one"), (b"\xff", "JSON"),
        (b'{"instances": [[1,2]], "inputs": [[1,2]]}', "exactly one"), (b'{"dataframe_records": [{"a": NaN}]}', "NaN"),
        (b'{"dataframe_records": {"a": 1}}', "must be a list"), (b'{"dataframe_records": [1]}', "row 0"),
        (b'{"dataframe_records": [{"a": 1, "b": 1}, {"a": 1}]}', "'b' is missing"),
        (b'{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}', "twice"),
        (b'{"dataframe_split": {"columns": [1, "a"], "data": [[1, 2]]}}', "string"),
        (b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [1]]}}', "row 1"),
        (b'{"dataframe_split": {"columns": ["a", "b"], "data": [{"a": 1}]}}', "row 0"),
        (b'{"dataframe_split": []}', "object"), (b'{"instances": [[1]]}', "row 0"), (b'{"instances": [1, {}]}', "list of"),
        (b'{"inputs": {"a": [1], "b": [1, 2]}}', "2 values"), (b'{"inputs": {"a": [1], "b": 2}}', "must be a list"),
        (b'{"inputs": 1}', "must be a list"), (b'{"inputs": [], "params": 3}', "params"), (b'{"inputs": [1e999]}', "JSON"),
        (b'{"instances": ' + b"[" * 100_000, "deep"), (b'{"instances": ' + b'{"a":' * 50_000, "deep"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(body: bytes, said: str) -> None:
    with pytest.raises(Fault) as caught:
        parse(body, AS_JSON, NAMES)
    assert caught.value.code is Code.INVALID
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"", "no header"), (b"a,b\n1\n", "row 0"), (b'a,b\n"1,2\n', "CSV"), (b"a,a\n1,2\n", "twice"), (b"\xff,b\n", "UTF-8"),
     (b"a,b\n" + b"x" * 200_000 + b",1\n", "CSV")],
)  # fmt: skip
def test_what_is_wrong_with_a_csv_is_said(body: bytes, said: str) -> None:
    with pytest.raises(Fault, match=said):
        parse(body, ContentType(CSV), NAMES)


@pytest.mark.parametrize("kind", [JSON, JSON_LINES, CSV])
def test_rows_have_a_limit(kind: str) -> None:
    body = {
        JSON: b'{"instances": [[1,1],[1,1],[1,1]]}',
        JSON_LINES: b'{"a":1,"b":1}\n' * 3,
        CSV: b"a,b\n1,1\n1,1\n1,1\n",
    }[kind]
    assert parse(body, ContentType(kind), NAMES, rows_max=3).count == 3
    with pytest.raises(Fault, match="at most 2"):
        parse(body, ContentType(kind), NAMES, rows_max=2)


def test_content_types() -> None:
    assert content_type("application/json; charset=UTF-8") == ContentType(JSON)
    assert content_type("text/csv;header=absent") == ContentType(CSV, header=False)
    assert content_type("application/x-ndjson").kind == JSON_LINES
    for wrong in ("", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1",
                  "application/json; format=pandas-split", "text/csv; header=maybe", "application/x-pickle"):  # fmt: skip
        with pytest.raises(UnsupportedType):
            content_type(wrong)


def test_answers() -> None:
    assert accepted("", JSON) == accepted("*/*", CSV) == accepted("text/html", CSV) == JSON
    assert accepted("text/html, text/csv;q=0.9", JSON) == CSV
    assert accepted("", JSON_LINES) == JSON_LINES
    assert answer([0.5, None], JSON) == b'{"predictions":[0.5,null]}'
    assert json.loads(answer([0.5], JSON, ["m@1"])) == {"predictions": [0.5], "versions": ["m@1"]}
    assert answer([0.5, None], CSV) == b"0.5\n\n"
    assert answer([0.5], CSV, ["m@1"]) == b"0.5,m@1\n"
    assert answer([0.5], JSON_LINES) == b'{"prediction":0.5}\n'


KINDS = st.sampled_from([AS_JSON, ContentType(JSON_LINES), ContentType(CSV), ContentType(CSV, header=False)])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "columns", "data"]), inner, max_size=3)
    ),
    max_leaves=12,
)
FORMS = st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs", "params", "other"])


def check(body: bytes, kind: ContentType) -> None:
    try:
        rows = parse(body, kind, NAMES, rows_max=100)
    except Fault as fault:
        assert fault.code is Code.INVALID  # noqa: PT017 - either way is right
    else:
        assert all(len(values) == rows.count for values in rows.columns.values())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), KINDS)
def test_any_bytes_are_rows_or_a_fault(body: bytes, kind: ContentType) -> None:
    check(body, kind)


@settings(max_examples=250, deadline=None)
@given(st.dictionaries(FORMS, VALUES, max_size=3))
def test_any_json_is_rows_or_a_fault(value: dict) -> None:
    check(json.dumps(value).encode(), AS_JSON)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(), st.text().filter(lambda t: "\0" not in t)), min_size=1, max_size=5))
def test_csv_comes_back_as_it_was_written(rows) -> None:
    import csv
    import io

    rows = [[a.replace("\0", ""), b] for a, b in rows]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([NAMES, *rows])
    found = (
        parse(text.getvalue().encode("utf-8", "surrogatepass"), ContentType(CSV), NAMES)
        if not any(0xD800 <= ord(c) < 0xE000 for pair in rows for value in pair for c in value)
        else None
    )
    if found is not None:
        assert columns(found) == {"a": [a for a, _ in rows], "b": [b for _, b in rows]}
