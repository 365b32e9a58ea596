"""MLflow's filter and order grammar: text becomes clauses; what a clause may say is for those who ask.

In: text such as ``metrics.auc > 0.7 AND params.`learning rate` = '0.1'`` and `attributes.start_time DESC`. Out: clauses
of an identifier, a comparator and a value, or INVALID_PARAMETER_VALUE in MLflow's words. Called by run_filters.py and
experiment_filters.py. As in MLflow, clauses are joined by AND alone, and a quote inside a value is not unescaped.
"""

import re
from collections.abc import Collection, Iterator
from typing import Literal, NamedTuple

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.mlflow import wire

LENGTH_MAX = 100_000
CLAUSES_MAX = 100
LIST_MAX = 10_000
_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
    |(?P<text>'(?:''|\\'|[^'])*')
    |(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<name>(?:[^\W\d][\w$]*|`[^`]*`|"[^"]*")(?:\.(?:[\w$]+|`[^`]*`|"[^"]*"))*)
    |(?P<sign>[<>=~!]+)
    |(?P<mark>[(),])
    """,
    re.VERBOSE,
)
_WORD_COMPARATORS = ("LIKE", "ILIKE", "IN", "NOT", "IS")

Kind = Literal["text", "number", "name", "sign", "mark"]


class Token(NamedTuple):
    """A piece of the text."""

    kind: Kind
    text: str


class Clause(NamedTuple):
    """One comparison.

    Args:
        entity: what is before the first dot, empty when there is none.
        key: what is after it, without its quotes.
        comparator: in capitals.
        value: a token; a list of texts of IN; None of IS NULL.
    """

    entity: str
    key: str
    comparator: str
    value: Token | tuple[str, ...] | None


def clauses(text: str) -> list[Clause]:
    """The clauses of a filter, none for one that is empty.

    Raises:
        WireError: INVALID_PARAMETER_VALUE that says where the text makes no sense.
    """
    if len(text) > LENGTH_MAX:
        raise wire.invalid(f"'filter' exceeds the maximum length of {LENGTH_MAX} characters")
    tokens = _Tokens(text)
    found: list[Clause] = []
    while not tokens.at_end():
        if found:
            tokens.expect_and()
        while tokens.word("AND"):
            pass  # as in MLflow, which minds none too many
        if not tokens.at_end():
            found.append(_clause(tokens))
        if len(found) > CLAUSES_MAX:
            raise wire.invalid(f"a filter has at most {CLAUSES_MAX} clauses")
    return found


def order(text: str) -> tuple[str, str, bool]:
    """The entity and key that a term of an order names, and whether it goes upwards.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    bad = wire.invalid(f"Invalid order_by clause '{text[: wire.SHOWN]}'. Could not be parsed.")
    if len(text) > LENGTH_MAX:
        raise bad
    try:
        tokens = list(_tokens(text))
    except WireError:
        raise bad from None
    if not tokens or tokens[0].kind != "name" or len(tokens) > 2:
        raise bad
    upwards = True
    if len(tokens) == 2:
        if tokens[1].kind != "name" or tokens[1].text.upper() not in ("ASC", "DESC"):
            raise wire.invalid(f"Invalid ordering key in order_by clause '{text[: wire.SHOWN]}'.")
        upwards = tokens[1].text.upper() == "ASC"
    return (*split(tokens[0].text), upwards)


def split(name: str) -> tuple[str, str]:
    """An identifier's entity and key: `metrics.a.b` is `metrics` and `a.b`; without a dot there is no entity."""
    if name[0] in '`"' and name.find(name[0], 1) == len(name) - 1:
        return "", unquoted(name)
    entity, dot, key = name.partition(".")
    if not dot:
        return "", unquoted(entity)
    return unquoted(entity), unquoted(key)


def unquoted(text: str) -> str:
    """Text without the quotes around it."""
    for quote in ("'", '"', "`"):
        if len(text) >= 2 and text[0] == text[-1] == quote:
            return text[1:-1]
    return text


def text_of(value: object, what: str) -> str:
    """A value that must be quoted text.

    Raises:
        WireError: INVALID_PARAMETER_VALUE, `what` says of what.
    """
    if isinstance(value, Token) and (value.kind == "text" or (value.kind == "name" and value.text[0] == '"')):
        return value.text[1:-1]
    if isinstance(value, Token) and value.kind == "name":
        raise wire.invalid(
            "Parameter value is either not quoted or unidentified quote types used for string value "
            f"{value.text[: wire.SHOWN]}. Use either single or double quotes."
        )
    raise wire.invalid(f"{what} Got value {_said(value)}")


def number_of(value: object, what: str) -> int | float:
    """A value that must be a number.

    Raises:
        WireError: INVALID_PARAMETER_VALUE, `what` says of what.
    """
    if not isinstance(value, Token) or value.kind != "number":
        raise wire.invalid(f"{what} Found {_said(value)}")
    try:
        # Engines count no further than 63 bits; what is beyond compares as a float.
        return int(value.text) if len(value.text) <= 18 else float(value.text)
    except ValueError:
        return float(value.text)


def one_of(comparator: str, allowed: Collection[str], close: str) -> None:
    """Refuse a comparator that is not among those allowed; `close` is how MLflow's message ends, which varies."""
    if comparator not in allowed:
        raise wire.invalid(f"Invalid comparator '{comparator}' not one of '{shown(allowed)}{close}")


def shown(words: Collection[str]) -> str:
    """Words as MLflow shows a set of them."""
    return "{" + ", ".join(f"'{word}'" for word in sorted(words)) + "}"


class _Tokens:
    """The tokens of a filter, one after another."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = self._begin = 0

    def at_end(self) -> bool:
        return self._next >= len(self._tokens)

    def peek(self) -> Token | None:
        return None if self.at_end() else self._tokens[self._next]

    def begin(self) -> None:
        """A clause begins here."""
        self._begin = self._next

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            parts = ", ".join(f"'{each.text[: wire.SHOWN]}'" for each in self._tokens[self._begin :])
            raise wire.invalid(f"Invalid clause(s) in filter string: {parts}")
        self._next += 1
        return token

    def expect_and(self) -> None:
        token = self.take()
        if token.kind != "name" or token.text.upper() != "AND":
            raise wire.invalid(f"Invalid clause(s) in filter string: '{token.text[: wire.SHOWN]}'")

    def word(self, *words: str) -> bool:
        """Whether the next token is one of these words; it is taken then."""
        token = self.peek()
        if token is not None and token.kind == "name" and token.text.upper() in words:
            self._next += 1
            return True
        return False


def _clause(tokens: _Tokens) -> Clause:
    tokens.begin()
    name = tokens.take()
    if name.kind != "name":
        raise wire.invalid(f"Invalid comparison clause. Expected 'Identifier' found '{name.text[: wire.SHOWN]}'")
    entity, key = split(name.text)
    comparator = _comparator(tokens)
    if comparator in ("IS NULL", "IS NOT NULL"):
        return Clause(entity, key, comparator, None)
    value = tokens.take()
    if value == ("mark", "("):
        return Clause(entity, key, comparator, _list(tokens))
    if value.kind not in ("text", "number", "name"):
        raise wire.invalid(f"Invalid comparison clause. Expected value token found '{value.text}'")
    if comparator in ("IN", "NOT IN"):
        raise wire.invalid(f"Invalid clause(s) in filter string: '{comparator}' takes a list in parentheses")
    return Clause(entity, key, comparator, value)


def _comparator(tokens: _Tokens) -> str:
    token = tokens.take()
    if token.kind == "sign":
        return token.text
    word = token.text.upper()
    if token.kind == "name" and word in _WORD_COMPARATORS:
        if word == "NOT":
            if tokens.word("IN"):
                return "NOT IN"
        elif word != "IS":
            return word
        elif tokens.word("NULL"):
            return "IS NULL"
        elif tokens.word("NOT") and tokens.word("NULL"):
            return "IS NOT NULL"
    raise wire.invalid(f"Invalid comparison clause. Expected comparison found '{token.text[: wire.SHOWN]}'")


def _list(tokens: _Tokens) -> tuple[str, ...]:
    found: list[str] = []
    while True:
        token = tokens.take()
        if token == ("mark", ")") and found:
            return tuple(found)  # a comma may come last
        if token == ("mark", ")"):
            raise wire.invalid(
                "While parsing a list in the query, expected a non-empty list of string values, but got empty list"
            )
        if token.kind != "text" and not (token.kind == "name" and token.text[0] == '"'):
            raise wire.invalid(
                "While parsing a list in the query, expected string value, punctuation, or whitespace, but got "
                f"different type in list: {token.text[: wire.SHOWN]}"
            )
        found.append(token.text[1:-1])
        if len(found) > LIST_MAX:
            raise wire.invalid(f"a list in a filter has at most {LIST_MAX} values")
        mark = tokens.take()
        if mark == ("mark", ")"):
            return tuple(found)
        if mark != ("mark", ","):
            raise wire.invalid(
                "While parsing a list in the query, expected a non-empty list of string values, but got ill-formed "
                "list."
            )


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise wire.invalid(f"Invalid clause(s) in filter string: '{text[at : at + wire.SHOWN]}'")
        at = match.end()
        if match.lastgroup != "space":
            yield Token(match.lastgroup, match[0])  # type: ignore[arg-type]


def _said(value: object) -> str:
    return value.text[: wire.SHOWN] if isinstance(value, Token) else str(value)[: wire.SHOWN]
