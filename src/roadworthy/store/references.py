"""References: which blobs the records name, whatever table they are in and whichever room wrote them.

In: a reader; or the content of a blob. Out: digests. A digest is 64 hex digits, and whatever looks like one counts:
what is named once too often stays on the disk, what is overlooked would be lost. So tables that are added later are
read as well, without being told of. Called by operate/retention.py before it sweeps.
"""

import base64
import binascii
import json
import re
from collections.abc import Collection, Iterable

from roadworthy.store.blobs import Blobs
from roadworthy.store.sql import Reader

# The log and its like name what once was, and keep nothing.
NAMES_NOTHING = frozenset({"events", "log_head", "checkpoints", "leases", "schema_version", "metrics", "metric_chunks"})
# Blobs that are records themselves are JSON; larger ones are somebody's data.
RECORD_BYTES_MAX = 256 << 20
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_RAW_BYTES = 32

_COLUMNS = {
    "sqlite": """
SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c
WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid
""",
    "postgresql": """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = current_schema() AND data_type IN ('text', 'character varying', 'json', 'jsonb', 'bytea')
ORDER BY table_name, ordinal_position
""",
}


def named(reader: Reader, *, but: Collection[str] = ()) -> set[bytes]:
    """The digests (32 bytes each) that any record names.

    Args:
        reader: of one moment.
        but: tables whose owner says what of them counts.
    """
    found: set[bytes] = set()
    skipped = {*NAMES_NOTHING, *but}
    for table, column in reader.rows(_COLUMNS[reader.dialect]):
        if table not in skipped:
            # Names from the database's own catalogue, which take no parameters.
            sql = f'SELECT "{column}" FROM "{table}" WHERE length(CAST("{column}" AS TEXT)) >= {_RAW_BYTES}'
            for (cell,) in reader.each(sql):
                found |= in_cell(cell)
    return found


def in_cell(cell: object) -> set[bytes]:
    """The digests in a column's value: in text, or the 32 bytes themselves."""
    if isinstance(cell, str):
        return digests(cell.encode("utf-8", "replace"))
    if isinstance(cell, bytes | bytearray | memoryview):
        content = bytes(cell)
        return {content} if len(content) == _RAW_BYTES else digests(content)
    return set() if cell is None or isinstance(cell, int | float) else digests(json.dumps(cell, default=str).encode())


def digests(text: bytes) -> set[bytes]:
    """Every digest written in a text."""
    return {bytes.fromhex(found.decode()) for found in _DIGEST.findall(text)}


def within(blobs: Blobs, named: Iterable[bytes], *, data: Collection[bytes] = ()) -> set[bytes]:
    """What named blobs name in turn, if they are records: a certificate names a model's bytes, a list its parts.

    Args:
        named: digests of blobs that records name; those that are gone are passed over.
        data: blobs that are known to be a user's data, and name nothing.
    """
    found: set[bytes] = set()
    waiting = list(named)
    seen = {*waiting, *data}
    while waiting:
        content = _record(blobs, waiting.pop().hex())
        new = {digest for digest in _of_record(content) if digest not in seen} if content else set()
        found |= new
        seen |= new
        waiting += new
    return found


def _record(blobs: Blobs, digest: str) -> bytes:
    """The bytes of a blob if it may be a record; nothing for one that is not."""
    try:
        with blobs.path(digest).open("rb") as file:
            begin = file.read(1)
            if begin not in {b"{", b"["} or file.seek(0, 2) > RECORD_BYTES_MAX:
                return b""
            file.seek(0)
            return file.read()
    except FileNotFoundError:
        content = blobs.packs.read(digest) or b""
        return content if content[:1] in {b"{", b"["} else b""


def _of_record(content: bytes) -> set[bytes]:
    found = digests(content)
    if b'"payload"' in content[:200] or b'"payload"' in content[-(1 << 16) :]:
        try:  # a DSSE envelope: what is signed is in base 64
            payload = json.loads(content)["payload"]
            found |= digests(base64.b64decode(payload))
        except (ValueError, TypeError, KeyError, binascii.Error):
            pass
    return found
