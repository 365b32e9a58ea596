"""The filters and orders of searches over registered models and their versions.

In: text such as ``name LIKE 'late%' AND tags.`team` = 'ml'`` and `last_updated_timestamp DESC`. Out: the conditions of
registry/model_search.py, or INVALID_PARAMETER_VALUE that names the clause.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.mlflow import wire
from roadworthy.registry.model_search import NAME_COLUMNS, NAME_ORDERS, VERSION_COLUMNS, VERSION_ORDERS, Condition

CONDITIONS_MAX = 100
LISTED_MAX = 1_000
LENGTH_MAX = 100_000
_NUMERIC = ("version_number",)
_WITH_LISTS = ("name", "run_id")
_TAG_COMPARATORS = ("=", "!=", "LIKE", "ILIKE")
_NUMBER_COMPARATORS = (">", ">=", "!=", "=", "<", "<=")
_TEXT_COMPARATORS = ("!=", "=", "LIKE", "ILIKE", "IN", "NOT IN")
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:''|\\'|[^'])*'|"(?:""|\\"|[^"])*")
    |(?P<number>-?\d+(?:\.\d*)?(?![\w.]))
    |(?P<word>(?:[\w\-]+|`[^`]*`)(?:\.(?:[\w.\-]+|`[^`]*`|"[^"]*"|'[^']*'))?)
    |(?P<sign><=|>=|!=|<>|=|<|>)
    |(?P<mark>[(),])
    )""",
    re.VERBOSE,
)


def names(text: str) -> tuple[Condition, ...]:
    """The conditions of a search over registered models."""
    return _conditions(text, NAME_COLUMNS)


def versions(text: str) -> tuple[Condition, ...]:
    """The conditions of a search over model versions."""
    return _conditions(text, VERSION_COLUMNS)


def name_order(clauses: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    """The order of a search over registered models."""
    return _order(clauses, NAME_ORDERS, {"timestamp": "last_updated_timestamp"})


def version_order(clauses: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    """The order of a search over model versions; the newest change first unless said otherwise."""
    return _order(clauses or ["last_updated_timestamp DESC"], VERSION_ORDERS, {})


def _conditions(text: str, columns: Collection[str]) -> tuple[Condition, ...]:
    if len(text) > LENGTH_MAX:
        raise wire.invalid(f"'filter' exceeds the maximum length of {LENGTH_MAX} characters")
    tokens = _Tokens(text)
    found: list[Condition] = []
    while not tokens.end():
        if found:
            tokens.expect("AND")
        found.append(_condition(tokens, columns))
        if len(found) > CONDITIONS_MAX:
            raise wire.invalid(f"a filter has at most {CONDITIONS_MAX} clauses")
    return tuple(found)


def _condition(tokens: "_Tokens", columns: Collection[str]) -> Condition:
    kind, word = tokens.take("a column")
    if kind != "word":
        raise wire.invalid(f"Invalid comparison clause. Expected 'Identifier' found '{word[: wire.SHOWN]}'")
    tag, key = _identifier(word, columns)
    comparator = tokens.comparator(word)
    kind, value = tokens.take("a value", before=f"{word}, {comparator}")
    if kind == "word":
        raise wire.invalid(
            "Parameter value is either not quoted or unidentified quote types used for string value "
            f"{value[: wire.SHOWN]}. Use either single or double quotes."
        )
    if tag:
        if comparator not in _TAG_COMPARATORS:
            raise wire.invalid(f"Invalid comparator for tag: {comparator}")
        if kind != "text":
            raise wire.invalid(
                f"Expected a quoted string value for tag (e.g. 'my-value'). Got value {value[: wire.SHOWN]}"
            )
        return Condition(tag=True, key=key, comparator=comparator, value=value[1:-1])
    if key in _NUMERIC:
        return Condition(key=key, comparator=comparator, value=_whole(key, comparator, kind, value))
    if comparator not in _TEXT_COMPARATORS:
        raise wire.invalid(f"Invalid comparator for attribute: {comparator}")
    if comparator.endswith("IN") and key not in _WITH_LISTS:
        lists = [name for name in _WITH_LISTS if name in columns]
        raise wire.invalid(f"Only {lists} attributes support comparison with a list of quoted string values.")
    if comparator.endswith("IN"):
        if (kind, value) != ("mark", "("):
            raise wire.invalid(_expected_text(value))
        return Condition(key=key, comparator=comparator, value=tokens.listed())
    if kind != "text":
        raise wire.invalid(_expected_text(value))
    return Condition(key=key, comparator=comparator, value=value[1:-1])


def _identifier(word: str, columns: Collection[str]) -> tuple[bool, str]:
    kind, dot, key = word.partition(".")
    if not dot:
        kind, key = "attribute", word
    if kind not in ("attribute", "tag", "tags"):
        raise wire.invalid(
            f"Invalid entity type '{kind[: wire.SHOWN]}'. Valid entity types are ('attribute', 'tag', 'tags')"
        )
    if kind == "attribute" and key not in columns:
        raise wire.invalid(f"Invalid attribute key '{key[: wire.SHOWN]}' specified. Valid keys are '{sorted(columns)}'")
    return kind != "attribute", key[1:-1] if key[0] in "`'\"" else key


def _whole(key: str, comparator: str, kind: str, value: str) -> int:
    if comparator not in _NUMBER_COMPARATORS:
        raise wire.invalid(f"Invalid comparator for attribute {key}: {comparator}")
    said = value[1:-1] if kind == "text" else value
    if not re.fullmatch(r"\s*[+-]?\d{1,18}\s*", said):
        shown = repr(said[: wire.SHOWN]) if kind == "text" else said[: wire.SHOWN]
        raise wire.invalid(f"Invalid value for numeric attribute '{key}': {shown}")
    return int(said)


def _order(clauses: Sequence[str], columns: Collection[str], same: dict[str, str]) -> tuple[tuple[str, bool], ...]:
    found: dict[str, bool] = {}
    for clause in clauses:
        words = clause.replace("`", "").split()
        if not 1 <= len(words) <= 2:
            raise wire.invalid(f"Invalid order_by clause '{clause[: wire.SHOWN]}'. Could not be parsed.")
        if len(words) == 2 and words[1].lower() not in ("asc", "desc"):
            raise wire.invalid(f"Invalid ordering key in order_by clause '{clause[: wire.SHOWN]}'.")
        key = words[0].removeprefix("attribute.")
        if key not in columns:
            said = (
                f"Invalid order by key '{key[: wire.SHOWN]}' specified. Valid keys are '['name', 'timestamp']'"
                if same
                else f"Invalid attribute key '{key[: wire.SHOWN]}' specified. Valid keys are '{sorted(columns)}'"
            )
            raise wire.invalid(said)
        key = same.get(key, key)
        if key in found:
            raise wire.invalid(f"`order_by` contains duplicate fields: {[c[: wire.SHOWN] for c in clauses]}")
        found[key] = len(words) == 1 or words[1].lower() == "asc"
    return tuple(found.items())


def _expected_text(value: str) -> str:
    return (
        "Expected a quoted string value or a list of quoted string values for attributes. Got value "
        f"{value[: wire.SHOWN]}"
    )


class _Tokens:
    """The words of a filter, taken one by one."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def end(self) -> bool:
        return not self._text[self._at :].strip()

    def take(self, what: str, before: str = "") -> tuple[str, str]:
        """The next word and its kind; `before` is what of the clause was taken."""
        match = _TOKEN.match(self._text, self._at)
        if match is None or match.lastgroup is None:
            rest = self._text[self._at :].strip()
            raise wire.invalid(
                f"Invalid clause(s) in filter string: {(rest or before)[: wire.SHOWN]}"
                if rest or before
                else f"Invalid comparison clause. Expected {what}, found the filter's end"
            )
        self._at = match.end()
        return match.lastgroup, match[match.lastgroup]

    def expect(self, word: str) -> None:
        kind, found = self.take(word)
        if kind != "word" or found.upper() != word:
            raise wire.invalid(f"Invalid clause(s) in filter string: {found[: wire.SHOWN]}")

    def comparator(self, before: str) -> Any:
        kind, found = self.take("a comparator", before)
        found = found.upper()
        if kind == "sign":
            return "!=" if found == "<>" else found
        if found == "NOT":
            self.expect("IN")
            return "NOT IN"
        if kind != "word" or found not in ("LIKE", "ILIKE", "IN"):
            raise wire.invalid(f"Invalid comparison clause. Expected comparison found '{found[: wire.SHOWN]}'")
        return found

    def listed(self) -> tuple[str, ...]:
        """The texts of a list whose opening bracket was taken."""
        values: list[str] = []
        while True:
            kind, value = self.take("a list")
            if (kind, value) == ("mark", ")"):
                if values:
                    return tuple(values)
                raise _ill_formed("string values, but got empty list")
            if kind != "text":
                raise wire.invalid(
                    "While parsing a list in the query, expected string value, punctuation, or whitespace, but got "
                    f"different type in list: ({value[: wire.SHOWN]},)"
                )
            values.append(value[1:-1])
            kind, value = self.take("a comma or bracket")
            if (kind, value) == ("mark", ")"):
                return tuple(values)
            if (kind, value) != ("mark", ",") or len(values) >= LISTED_MAX:
                raise _ill_formed("string values, but got ill-formed list.")


def _ill_formed(what: str) -> WireError:
    return wire.invalid(f"While parsing a list in the query, expected a non-empty list of {what}")
