"""Where each key and value of a TOML text stands, which Python's tomllib does not say.

In: text that tomllib has already found valid, so that this needs to follow it, not to judge it. Out: for each path the
offsets of its key and value. Called only when a mistake must be shown.
"""

import re
import tomllib
from typing import NamedTuple

Path = tuple[str | int, ...]


class Spot(NamedTuple):
    """Offsets into the text, from 0; equal for elements of arrays, and for tables with a header."""

    key: int
    value: int


_BLANK = re.compile(r"[ \t\r\n]+|#[^\n]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Longest first; three quotes may follow up to two that belong to the string.
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?""""{0,2}'
    r"|'''.*?''''{0,2}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def spots(text: str) -> dict[Path, Spot]:
    r"""The place of every table, key, value and array element.

    Args:
        text: valid TOML with `\n` line ends.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Both counted from 1, in characters."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


class _Scanner:
    """Walks the text once; `found` fills as it goes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, Spot] = {}
        # path of an array of tables -> how many it has so far
        self.arrays: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        while self.skip_blank() < len(self.text):
            table = self.header() if self.text[self.at] == "[" else self.pair(table)

    def header(self) -> Path:
        """`[a.b]` or `[[a.b]]`; the path of the table that begins."""
        many = self.text.startswith("[[", self.at)
        self.at += 2 if many else 1
        path: Path = ()
        keys = self.dotted_key()
        for place, (name, offset) in enumerate(keys):
            path = (*path, name)
            self.found.setdefault(path, Spot(offset, offset))
            if many and place == len(keys) - 1:
                self.arrays[path] = self.arrays.get(path, 0) + 1
            if path in self.arrays:
                path = (*path, self.arrays[path] - 1)
                self.found.setdefault(path, Spot(offset, offset))
        self.skip_blank()
        self.at += 2 if many else 1
        return path

    def pair(self, table: Path) -> Path:
        """`a.b = value`; the table it stands in."""
        path = table
        for name, offset in self.dotted_key():
            path = (*path, name)
            self.found.setdefault(path, Spot(offset, offset))
            last = offset
        self.skip_blank()
        self.at += 1  # the equals sign
        self.skip_blank()
        self.found[path] = Spot(last, self.at)
        self.value(path)
        return table

    def dotted_key(self) -> list[tuple[str, int]]:
        """The parts of a key with their offsets; ends before what follows the key."""
        parts: list[tuple[str, int]] = []
        while True:
            self.skip_blank()
            start = self.at
            quoted = _STRING.match(self.text, start)
            found = quoted or _BARE_KEY.match(self.text, start)
            assert found is not None, "tomllib lets no other key pass"
            self.at = found.end()
            parts.append((_unquote(found[0]) if quoted else found[0], start))
            self.skip_blank()
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def value(self, path: Path) -> None:
        character = self.text[self.at]
        if character == "[":
            self.array(path)
        elif character == "{":
            self.inline_table(path)
        else:
            found = _STRING.match(self.text, self.at) or _SCALAR.match(self.text, self.at)
            assert found is not None, "tomllib lets no other value pass"
            self.at = found.end()

    def array(self, path: Path) -> None:
        self.at += 1
        count = 0
        while self.text[self.skip_blank()] != "]":
            self.found[*path, count] = Spot(self.at, self.at)
            self.value((*path, count))
            count += 1
            self.skip_comma()
        self.at += 1

    def inline_table(self, path: Path) -> None:
        self.at += 1
        while self.text[self.skip_blank()] != "}":
            self.pair(path)
            self.skip_comma()
        self.at += 1

    def skip_comma(self) -> None:
        self.skip_blank()
        if self.text[self.at] == ",":
            self.at += 1

    def skip_blank(self) -> int:
        """Go past spaces, line breaks and comments."""
        while (blank := _BLANK.match(self.text, self.at)) is not None:
            self.at = blank.end()
        return self.at


def _unquote(written: str) -> str:
    text: str = tomllib.loads(f"key = {written}")["key"]
    return text
