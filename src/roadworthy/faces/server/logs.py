"""Logs: one line an entry, as text or as JSON, whatever the words in it.

In: Python's log records. Out: lines on stderr. Control characters are written as escapes, so that nobody who names a
run can forge a line or move the reader's cursor. Called by main.py.
"""

import datetime as dt
import logging
import re
import sys
from typing import Literal

import msgspec

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_access = logging.getLogger("roadworthy.access")


def set_up(form: Literal["text", "json"]) -> None:
    """Log to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def access(*, source: str, who: str, method: str, path: str, status: int, duration_s: float, request_id: str) -> None:
    """One request's line. Queries are left out: they may hold what was searched for."""
    fields = {
        "from": source,
        "who": who,
        "method": method[:20],
        "path": path[:500],
        "status": status,
        "ms": round(duration_s * 1_000, 2),
        "id": request_id,
    }
    _access.info("%s %s %s", fields["method"], fields["path"], status, extra={"fields": fields})


def clean(text: str) -> str:
    """Text in which control characters are escapes."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None)
        said = clean(record.getMessage())
        if fields:
            said = " ".join(f"{name}={_quoted(str(value))}" for name, value in fields.items())
        line = f"{_at(record)} {record.levelname} {record.name} {said}"
        # A traceback is ours, and reads badly on one line; its lines are indented so that none looks like an entry.
        return line if not record.exc_info else f"{line}\n{_indented(self.formatException(record.exc_info))}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "log": record.name,
            "message": record.getMessage(),
        }
        said |= getattr(record, "fields", {})
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        text = msgspec.json.encode(said, enc_hook=str).decode()
        return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _at(record: logging.LogRecord) -> str:
    return dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(text: str) -> str:
    text = clean(text)
    return text if text and not any(c in text for c in ' "=') else msgspec.json.encode(text).decode()


def _indented(text: str) -> str:
    return "\n".join(f"    {clean(line)}" for line in text.splitlines())
