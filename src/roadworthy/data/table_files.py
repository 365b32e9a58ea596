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
        columns: of a CSV, as they were told when it was taken.
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
    """The SQL that reads the table, for after FROM; a CSV's columns must be known."""
    if table.kind == "parquet":
        return f"read_parquet({_listed(table)})"
    types = ", ".join(f"{literal(column.name)}: {literal(column.type)}" for column in table.columns)
    return f"read_csv({_listed(table)}, {_csv_options(table)}, auto_detect = false, columns = {{{types}}})"


def describe(
    connection: Any, table: Tabular, *, types: dict[str, str] | None = None, whole: bool = True
) -> tuple[Column, ...]:
    """The table's columns as DuckDB tells them.

    Args:
        connection: from `connect`.
        table: which; its columns are not looked at.
        types: DuckDB types for some of a CSV's columns, that are not to be told from its values.
        whole: look at all of a CSV's rows to tell its types, not at the first `SAMPLE_ROWS` of each file.

    Raises:
        Fault: invalid, saying what is wrong with the file.
    """
    with faults(table):
        for path, name in zip(table.paths, table.names, strict=True):
            _look_at(path, name, table.kind)
        if table.kind == "parquet":
            _same_columns(connection, table)
            found = connection.execute(f"DESCRIBE SELECT * FROM {scan(table)}").fetchall()
            return tuple(Column(name=row[0], type=row[1], nullable=row[2] == "YES") for row in found)
        names = _header(table)
        text = tuple(Column(name=name, type="VARCHAR") for name in names)
        found = _sniff(connection, table, whole=whole)
        if len(found) != len(names):
            # The sniffer says that it failed and not why; reading every line as text says which line is wrong.
            connection.execute(f"SELECT count(*) FROM {scan(msgspec.structs.replace(table, columns=text))}").fetchall()
            found = ["VARCHAR"] * len(names)
        overruled = types or {}
        return tuple(Column(name=n, type=overruled.get(n, told)) for n, told in zip(names, found, strict=True))


def _sniff(connection: Any, table: Tabular, *, whole: bool) -> list[str]:
    """The columns' types; nothing when DuckDB cannot make sense of the file."""
    import duckdb

    sample = -1 if whole else SAMPLE_ROWS
    source = f"read_csv({_listed(table)}, {_csv_options(table)}, sample_size = {sample})"
    try:
        return [row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    except duckdb.InvalidInputException as problem:
        if "sniffing" in str(problem):
            return []
        raise


_SHAPES = """
SELECT columns, min(file_name) FROM (
    SELECT file_name, list_sort(list(name)) AS columns FROM parquet_schema({files})
    WHERE num_children IS NULL GROUP BY file_name
) GROUP BY columns ORDER BY 2
"""


def _same_columns(connection: Any, table: Tabular) -> None:
    """DuckDB reads several Parquet files by the first one's columns, and says nothing of others until they are read."""
    if len(table.paths) == 1:
        return
    shapes = connection.execute(_SHAPES.format(files=_listed(table))).fetchall()
    if len(shapes) > 1:
        names = dict(zip(map(str, table.paths), table.names, strict=True))
        which = " and ".join(names.get(row[1], row[1]) for row in shapes[:2])
        raise invalid("the files do not have the same columns", where=which)


def _listed(table: Tabular) -> str:
    return "[" + ", ".join(literal(str(path)) for path in table.paths) + "]"


def _csv_options(table: Tabular) -> str:
    return ", ".join(
        [
            "header = true",
            "strict_mode = true",
            "null_padding = false",
            "quote = '\"'",
            "escape = '\"'",
            f"delim = {literal(_delimiter(table))}",
            f"max_line_size = {LINE_BYTES_MAX}",
            f"compression = {'gzip' if _compressed(table) else 'none'}",
        ]
    )


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


def _first_line(path: Path, name: str) -> str:
    import gzip

    opener = gzip.open if name.lower().endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            return file.readline(LINE_BYTES_MAX).decode("utf-8-sig").rstrip("\r\n")
    except (OSError, EOFError) as problem:
        raise invalid(f"the file cannot be unpacked: {problem}", where=name) from None
    except UnicodeDecodeError:
        raise _not_utf8(name) from None


def _delimiter(table: Tabular) -> str:
    """Which of the usual delimiters the header has most of: DuckDB's own guess takes a ragged file for one column."""
    if ".tsv" in table.names[0].lower():
        return "\t"
    header = re.sub(r'"(?:[^"]|"")*"', "", _first_line(table.paths[0], table.names[0]))
    return max(_DELIMITERS, key=header.count)


def _header(table: Tabular) -> list[str]:
    """The columns' names, which all files must share."""
    import csv

    delimiter = _delimiter(table)
    first: list[str] = []
    for path, name in zip(table.paths, table.names, strict=True):
        line = _first_line(path, name)
        names = next(csv.reader([line], delimiter=delimiter), [])
        if not line.strip():
            raise invalid("the file has no header: its first line is empty", where=name)
        if first and names != first:
            raise invalid("the files do not have the same columns", where=f"{table.names[0]} and {name}")
        first = names
    folded = [name.casefold() for name in first]
    twice = sorted({name for name in first if folded.count(name.casefold()) > 1})
    if twice:
        raise invalid(
            f"columns have the same name: {', '.join(twice)}", where=table.names[0], fix="SQL does not tell a from A"
        )
    if "" in first:
        raise invalid(f"column {first.index('') + 1} has no name", where=table.names[0], fix="name it in the header")
    return first


def _not_utf8(where: str) -> Fault:
    return invalid(
        "the file is not UTF-8", where=where, fix="convert it, for example: iconv -f LATIN1 -t UTF-8 OLD > NEW"
    )


def _explain(text: str, table: Tabular) -> Fault:
    where = next((n for p, n in zip(table.paths, table.names, strict=True) if str(p) in text), table.names[0])
    line = re.search(r"CSV Error on Line: (\d+)", text)
    if line:
        where = f"{where}:{line[1]}"
    if "Invalid unicode" in text or "not utf-8 encoded" in text:
        return _not_utf8(where)
    columns = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if columns:
        values = f"{columns[2]} value{'' if columns[2] == '1' else 's'}"
        return invalid(
            f"the line has {values} and the header {columns[1]}",
            where=where,
            fix="mend the line, or quote values that hold the delimiter",
        )
    converted = re.search(
        r'Error when converting column "(.*?)"\.(?: Could not convert string "(.*?)" to \'(\w+))?', text
    )
    if converted:
        said = f" ({converted[2][:60]!r} is no {converted[3]})" if converted[3] else ""
        return invalid(f"column {converted[1]!r} has a value that is not of its type{said}", where=where)
    if "maximum line size" in text.lower():
        return invalid(f"a line is longer than {LINE_BYTES_MAX >> 20} MiB", where=where, fix="is a quote left open?")
    if "unterminated quote" in text:
        return invalid("a quoted value has no end", where=where, fix="double the quotes inside quoted values")
    if "schema mismatch" in text.lower():
        return invalid("the files do not have the same columns", where=where, detail={"duckdb": text[:2000]})
    first = " ".join(text.split())
    return invalid(f"the data cannot be read: {first[:300]}", where=where, detail={"duckdb": text[:4000]})
