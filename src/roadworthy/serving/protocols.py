"""Protocols: what a client's body says, in the forms MLflow and SageMaker clients send, and the answer in theirs.

    application/json        dataframe_split, dataframe_records, instances or inputs (one of them), and `params`
    application/jsonlines   one record per line
    text/csv                a header, then rows; `text/csv; header=absent` takes the columns in the model's order

In: bytes from a stranger. Out: columns of plain values, or a `Fault` that says what is wrong. Nothing here knows types;
serving/fields.py holds the values against the model. Called by serving/app.py and serving/router.py.
"""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from roadworthy.nouns.errors import Fault, invalid
from roadworthy.serving.fields import Source, show

# A number, or the class that a multi-class model says.
Answer = str | int | float | bool | None

JSON = "application/json"
JSON_LINES = "application/jsonlines"
CSV = "text/csv"
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_TYPES = {
    JSON: JSON,
    CSV: CSV,
    JSON_LINES: JSON_LINES,
    "application/x-ndjson": JSON_LINES,
    "application/jsonl": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
}
_PARAMETERS = frozenset(("charset", "header"))
COLUMNS_MAX = 10_000
ROWS_MAX = 10_000
SHOWN_NAMES_MAX = 8


class UnsupportedType(Exception):
    """The body is of a type that is not read (415)."""


class ContentType(msgspec.Struct, frozen=True):
    """The type of a body: which of ours it is, and whether a CSV has a header."""

    kind: str
    header: bool = True


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a request.

    Args:
        columns: name to values, one per row.
        count: number of rows.
        source: `text` when everything came as text.
    """

    columns: Mapping[str, Sequence[Any]]
    count: int
    source: Source = "json"


def content_type(header: str) -> ContentType:
    """What a Content-Type header says.

    Raises:
        UnsupportedType: for a type, charset or parameter that is not read.
    """
    kind, *parameters = (part.strip() for part in header.split(";"))
    found = _TYPES.get(kind.lower())
    if found is None:
        raise UnsupportedType(f"the content type {show(kind)} is not read; {JSON}, {CSV} and {JSON_LINES} are")
    values = {}
    for parameter in filter(None, parameters):
        name, _, value = parameter.partition("=")
        values[name.strip().lower()] = value.strip().strip('"').lower()
    if values.get("charset", "utf-8") not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedType("only UTF-8 is read")
    unknown = sorted(set(values) - _PARAMETERS)
    if unknown or values.get("header", "present") not in ("present", "absent"):
        raise UnsupportedType(f"the content type's parameters {show(header)} are not read; charset and header are")
    return ContentType(found, values.get("header") != "absent")


def parse(
    body: bytes, kind: ContentType, names: Sequence[str] = (), *, wanted: Sequence[str] = (), rows_max: int = ROWS_MAX
) -> Rows:
    """The rows of a body.

    Args:
        body: as sent.
        kind: its type.
        names: columns in the model's order, for rows that come without names.
        wanted: columns to look for in records (their keys may differ from row to row); `names` when empty.
        rows_max: more are refused.

    Raises:
        Fault: invalid, saying where the body is wrong.
    """
    if kind.kind == CSV:
        rows = _csv(body, kind, names, rows_max)
    elif kind.kind == JSON_LINES:
        rows = _records(_lines(body, rows_max), wanted or names, "line")
    else:
        rows = _json(body, names, wanted or names)
    if rows.count > rows_max:
        raise too_many_rows(rows.count, rows_max)
    return rows


def too_many_rows(count: int, rows_max: int) -> Fault:
    return invalid(
        f"the request has {count} rows", fix=f"send at most {rows_max} at a time", detail={"rows_max": rows_max}
    )


# Requests in JSON.


def _json(body: bytes, names: Sequence[str], wanted: Sequence[str]) -> Rows:
    said = _decode(body)
    if not isinstance(said, dict):
        raise invalid(f"the body must be a JSON object, not {show(said)}", fix=_one_form())
    given = [form for form in FORMS if form in said]
    if len(given) != 1:
        found = ", ".join(given) if given else ", ".join(map(show, list(said)[:SHOWN_NAMES_MAX])) or "none"
        raise invalid(f"the body must have exactly one of {', '.join(FORMS)}; it has {found}", fix=_one_form())
    params = said.get("params")
    if params is not None and not isinstance(params, dict):
        raise invalid("`params` must be an object", where="params")
    form = given[0]
    content = said[form]
    if form == "dataframe_split":
        return _split(content)
    if form == "dataframe_records":
        return _records(_list(content, form), wanted, "row")
    if isinstance(content, dict):
        return _columns(content, form)
    return _instances(_list(content, form), form, names, wanted)


def _decode(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise invalid("the JSON is nested too deeply", fix="send flat rows of plain values") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise invalid(
            f"the JSON cannot be read: {problem}", fix="send valid JSON in UTF-8; a missing value is null, not NaN"
        ) from None


def _split(content: Any) -> Rows:
    """`{"columns": […], "data": [[…], …]}`, as pandas writes it; an index is of no meaning here."""
    if not isinstance(content, dict) or "columns" not in content or "data" not in content:
        raise invalid("`dataframe_split` must be an object with `columns` and `data`", where="dataframe_split")
    names = _list(content["columns"], "columns")
    data = _list(content["data"], "data")
    for name in names:
        if not isinstance(name, str):
            raise invalid(f"a column's name must be a string, not {show(name)}", where="dataframe_split.columns")
    return _positional(data, names, "row")


def _records(rows: list[Any], wanted: Sequence[str], noun: Literal["row", "line"]) -> Rows:
    """Objects with a column each; what no column is asked for is left out."""
    if set(map(type, rows)) - {dict}:
        place = next(i for i, row in enumerate(rows) if type(row) is not dict)
        raise invalid(f"a row must be an object, not {show(rows[place])}", where=f"{noun} {place}")
    names = wanted or (list(rows[0]) if rows else ())
    present = [name for name in names if any(name in row for row in rows)]
    try:
        columns = {name: [row[name] for row in rows] for name in present}
    except KeyError as missing:
        name = missing.args[0]
        place = next(i for i, row in enumerate(rows) if name not in row)
        raise invalid(
            f"the column {name!r} is missing",
            where=f"{noun} {place}, field {name!r}",
            fix="send it in each row, with null where there is no value",
            detail={"field": name, "row": place},
        ) from None
    return Rows(columns=columns, count=len(rows))


def _columns(content: dict[str, list[Any]], form: str) -> Rows:
    """`{"a": [1, 2], "b": [3, 4]}`; plain values make one row."""
    if len(content) > COLUMNS_MAX:
        raise invalid(f"{len(content)} columns are too many", where=form, fix=f"send at most {COLUMNS_MAX}")
    if content and not any(isinstance(values, list) for values in content.values()):
        return Rows(columns={name: [value] for name, value in content.items()}, count=1)
    count = -1
    for name, values in content.items():
        if not isinstance(values, list):
            raise invalid(f"the column {name!r} must be a list, not {show(values)}", where=f"{form}.{name}")
        if count < 0:
            count = len(values)
        if len(values) != count:
            raise invalid(
                f"the column {name!r} has {len(values)} values, the first column {count}", where=f"{form}.{name}"
            )
    return Rows(columns=content, count=max(count, 0))


def _instances(rows: list[Any], form: str, names: Sequence[str], wanted: Sequence[str]) -> Rows:
    """A list of objects, of lists in the model's order, or, for a model of one column, of plain values."""
    kinds = set(map(type, rows))
    if kinds <= {dict}:
        return _records(rows, wanted, "row")
    if kinds <= {list}:
        return _positional(rows, names, "row")
    if len(names) == 1 and not kinds & {dict, list}:
        return Rows(columns={names[0]: rows}, count=len(rows))
    raise invalid(
        f"`{form}` must be a list of objects, or of lists of {len(names)} values", where=form, fix=_one_form()
    )


def _positional(rows: list[Any], names: Sequence[str], noun: Literal["row", "line"]) -> Rows:
    """Rows without names; each has a value per column."""
    if len(names) > COLUMNS_MAX:
        raise invalid(f"{len(names)} columns are too many", fix=f"send at most {COLUMNS_MAX}")
    if len(set(names)) != len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise invalid(f"the column {twice!r} is there twice", where=f"column {twice!r}", fix="send it once")
    width = len(names)
    for place, row in enumerate(rows):
        if type(row) is not list or len(row) != width:
            found = f"{len(row)} values" if type(row) is list else show(row)
            raise invalid(f"a row must be a list of {width} values, not {found}", where=f"{noun} {place}")
    columns: dict[str, Sequence[Any]] = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    return Rows(columns=columns or {name: [] for name in names}, count=len(rows))


def _list(content: Any, where: str) -> list[Any]:
    if not isinstance(content, list):
        raise invalid(f"`{where}` must be a list, not {show(content)}", where=where)
    return content


def _lines(body: bytes, rows_max: int) -> list[Any]:
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) > rows_max:
        raise too_many_rows(len(lines), rows_max)
    read = []
    for place, line in enumerate(lines):
        try:
            read.append(_decode(line))
        except Fault as fault:
            raise invalid(fault.what, where=f"line {place}", fix=fault.fix) from None
    return read


# Requests in CSV.


def _csv(body: bytes, kind: ContentType, names: Sequence[str], rows_max: int) -> Rows:
    try:
        text = body.decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = []
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) > rows_max + 1:
                raise too_many_rows(text.count("\n"), rows_max)
    except UnicodeDecodeError as problem:
        raise invalid(f"the body is not UTF-8: byte {problem.start}") from None
    except csv.Error as problem:
        raise invalid(f"the CSV cannot be read: {problem}", where=f"line {reader.line_num}") from None
    if kind.header:
        if not rows:
            raise invalid("the CSV has no header", fix="send the columns' names in the first line")
        names = [name.strip() for name in rows.pop(0)]
    found = _positional(rows, names, "row")
    return Rows(columns=found.columns, count=found.count, source="text")


# Answers.


def accepted(accept: str, sent: str) -> str:
    """The type of the answer: the first of ours in the Accept header; JSON when it has none of ours.

    Args:
        accept: the header, empty when there is none.
        sent: type of the request's body, which an `*/*` does not choose: MLflow answers CSV in JSON.
    """
    for part in accept.split(","):
        found = _TYPES.get(part.split(";")[0].strip().lower())
        if found is not None:
            return found
    return JSON_LINES if sent == JSON_LINES and not accept.strip() else JSON


def answer(predictions: Sequence[Answer], kind: str, versions: Sequence[str] | None = None) -> bytes:
    """The predictions as the client wants them; what is not finite is null (JSON) or empty (CSV)."""
    return _ANSWERS[kind](predictions, versions)


def finite(scores: Sequence[float]) -> list[float | None]:
    """Scores as JSON can say them."""
    return [score if math.isfinite(score) else None for score in scores]


def _answer_json(predictions: Sequence[Answer], versions: Sequence[str] | None) -> bytes:
    if versions is None:
        return msgspec.json.encode({"predictions": predictions})
    return msgspec.json.encode({"predictions": predictions, "versions": versions})


def _answer_lines(predictions: Sequence[Answer], versions: Sequence[str] | None) -> bytes:
    if versions is None:
        rows: list[dict[str, Any]] = [{"prediction": value} for value in predictions]
    else:
        rows = [{"prediction": v, "version": version} for v, version in zip(predictions, versions, strict=True)]
    return msgspec.json.Encoder().encode_lines(rows)


def _answer_csv(predictions: Sequence[Answer], versions: Sequence[str] | None) -> bytes:
    values = ["" if value is None else _field(value) for value in predictions]
    if versions is not None:
        values = [f"{value},{version}" for value, version in zip(values, versions, strict=True)]
    return "".join(f"{value}\n" for value in values).encode()


def _field(value: Answer) -> str:
    """A value of CSV: numbers as they are, a class that is text in quotes where it must be."""
    if not isinstance(value, str):
        return repr(value)
    return '"' + value.replace('"', '""') + '"' if any(c in value for c in ',"\r\n') or not value else value


_ANSWERS: dict[str, Callable[[Sequence[Answer], Sequence[str] | None], bytes]] = {
    JSON: _answer_json,
    JSON_LINES: _answer_lines,
    CSV: _answer_csv,
}


def _one_form() -> str:
    return 'such as {"dataframe_records": [{"column": 1.0}]}'
