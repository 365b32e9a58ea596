"""Tabular files as DuckDB sees them: one SQL expression that reads a snapshot, and its columns.

In: files, and which kind. Out: `FROM` expressions for snapshots, reading and quality checks, and one clear message for
each way a file can be wrong. Identifiers and literals are quoted here and nowhere else.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.snapshot import Column

CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
PARQUET = (".parquet", ".pq")
# Rows looked at to tell a CSV file's types.
SAMPLE_ROWS = 100_000
# A line longer than this is no line.
LINE_BYTES_MAX = 16 << 20
_DELIMITERS = ",;\t|"


class Tabular(msgspec.Struct, frozen=True, kw_only=True):
    """Tabular files that are read as one table.

    Args:
        kind: `csv` or `parquet`.
        paths: where their bytes lie.
        names: what they are called, one for each path; a CSV file's name says whether it is compressed.
        columns: of a CSV: its columns' types as they were told when it was taken; told anew when empty.
    """

    kind: str
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    columns: tuple[Column, ...] = ()


def kind_of(names: Sequence[str]) -> str:
    """`csv` or `parquet` when all files are, else `folder`."""
    for kind, endings in (("csv", CSV), ("parquet", PARQUET)):
        if names and all(name.lower().endswith(endings) for name in names):
            return kind
    return "folder"


def identifier(name: str) -> str:
    """A column's name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as SQL takes it."""
    if "\0" in text:
        raise invalid("a text with a zero byte in it cannot be used here", where=text[:40])
    return "'" + text.replace("'", "''") + "'"


def scan(table: Tabular) -> str:
    """The SQL that reads the table, for after FROM."""
    listed = "[" + ", ".join(literal(str(path)) for path in table.paths) + "]"
    if table.kind == "parquet":
        return f"read_parquet({listed})"
    options = [
        "header = true",
        "strict_mode = true",
        "null_padding = false",
        "quote = '\"'",
        "escape = '\"'",
        f"delim = {literal(_delimiter(table))}",
        f"sample_size = {SAMPLE_ROWS}",
        f"max_line_size = {LINE_BYTES_MAX}",
        f"compression = {'gzip' if _compressed(table) else 'none'}",
    ]
    if table.columns:
        types = ", ".join(f"{literal(column.name)}: {literal(column.type)}" for column in table.columns)
        options += [f"columns = {{{types}}}", "auto_detect = false"]
    return f"read_csv({listed}, {', '.join(options)})"


def describe(connection: Any, table: Tabular, *, types: dict[str, str] | None = None) -> tuple[Column, ...]:
    """The table's columns as DuckDB tells them; `types` overrules it for some of a CSV's columns.

    Raises:
        Fault: invalid, saying what is wrong with the file.
    """
    with faults(table):
        for path, name in zip(table.paths, table.names, strict=True):
            _look_at(path, name, table.kind)
        found = connection.execute(f"DESCRIBE SELECT * FROM {scan(table)}").fetchall()
    columns = tuple(Column(name=row[0], type=row[1], nullable=row[2] == "YES") for row in found)
    if table.kind != "csv":
        return columns
    overruled = types or {}
    return tuple(msgspec.structs.replace(c, type=overruled.get(c.name, c.type)) for c in columns)


@contextlib.contextmanager
def faults(table: Tabular) -> Iterator[None]:
    """What DuckDB says of a bad file, as one message for the person who has to mend it."""
    import duckdb

    try:
        yield
    except duckdb.Error as problem:
        raise _explain(str(problem), table) from None


def connect() -> Any:
    """A DuckDB of our own, in memory, that looks at no variables of ours."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _look_at(path: Path, name: str, kind: str) -> None:
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise invalid("the file is empty", where=name)
    if kind == "csv" and start[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise invalid("the file is UTF-16; CSV must be UTF-8", where=name, fix="iconv -f UTF-16 -t UTF-8 OLD > NEW")
    if kind == "parquet" and start != b"PAR1":
        raise invalid("the file is called Parquet and is not", where=name)


def _compressed(table: Tabular) -> bool:
    return table.names[0].lower().endswith(".gz")


def _delimiter(table: Tabular) -> str:
    """Which of the usual delimiters the header has most of: DuckDB's own guess takes a ragged file for one column."""
    import gzip

    if ".tsv" in table.names[0].lower():
        return "\t"
    opener = gzip.open if _compressed(table) else open
    with opener(table.paths[0], "rb") as file:
        header = file.readline(LINE_BYTES_MAX).decode("utf-8", "replace")
    header = re.sub(r'"(?:[^"]|"")*"', "", header)
    return max(_DELIMITERS, key=header.count)


def _explain(text: str, table: Tabular) -> Fault:
    where = next((n for p, n in zip(table.paths, table.names, strict=True) if str(p) in text), table.names[0])
    line = re.search(r"(?:Line|line):? (\d+)", text)
    if line:
        where = f"{where}:{line[1]}"
    lowered = text.lower()
    if "unicode" in lowered or "utf-8" in lowered or "utf8" in lowered or "invalid byte" in lowered:
        return invalid(
            "the file is not UTF-8", where=where, fix="convert it, for example: iconv -f LATIN1 -t UTF-8 OLD > NEW"
        )
    columns = re.search(r"expected number of columns: (\d+) actual number of columns: (\d+)", lowered)
    if columns:
        return invalid(
            f"the line has {columns[2]} values and the header {columns[1]}",
            where=where,
            fix="mend the line, or quote values that hold the delimiter",
        )
    converted = re.search(r'converting column "(.*?)"', text)
    if converted:
        value = re.search(r'Could not convert string "(.*?)" to \'?"?(\w+)', text)
        said = f" ({value[1][:60]!r} is no {value[2]})" if value else ""
        return invalid(f"column {converted[1]!r} has a value that is not of its type{said}", where=where)
    if "maximum line size" in lowered or "max_line_size" in lowered:
        return invalid(f"a line is longer than {LINE_BYTES_MAX >> 20} MiB", where=where, fix="is a quote left open?")
    if "unterminated quote" in lowered or "value with unterminated" in lowered:
        return invalid("a quoted value has no end", where=where, fix="double the quotes inside quoted values")
    if "schema mismatch" in lowered or "mismatch between" in lowered:
        return invalid("the files do not have the same columns", where=where, detail={"duckdb": text[:2000]})
    first = " ".join(text.split())
    return invalid(f"the data cannot be read: {first[:300]}", where=where, detail={"duckdb": text[:4000]})
