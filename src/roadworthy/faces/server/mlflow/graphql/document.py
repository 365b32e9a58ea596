"""GraphQL documents, as far as MLflow's pages write them: queries with variables, fragments, directives.

In: text. Out: the operation that is meant, as a tree of selections with its variables filled in, or a `Refused` that
says why not. Called by handlers.py. The grammar is that of graphql.org's specification of October 2021, without types.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

LENGTH_MAX = 100_000
TOKENS_MAX = 10_000
DEPTH_MAX = 10
SELECTIONS_MAX = 1_000
ROOT_FIELDS_MAX = 10
ALIASES_MAX = 10
_TOKEN = re.compile(
    r"""
    (?P<space>[\s,\ufeff]+|\#[^\n\r]*)
    |(?P<mark>\.\.\.|[!$&()\[\]{}:=@|])
    |(?P<name>[_A-Za-z][_0-9A-Za-z]*)
    |(?P<float>-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+))
    |(?P<int>-?(?:0|[1-9]\d*))
    |(?P<block>\"\"\"(?:\\\"\"\"|(?!\"\"\").)*\"\"\")
    |(?P<text>\"(?:\\.|[^\"\\\n])*\")
    """,
    re.VERBOSE | re.DOTALL,
)
_END = ("end", "")
Selections = tuple["Field | Spread | Inline", ...]


class Refused(Exception):
    """A document that is not carried out."""


class Variable(NamedTuple):
    """Stands for a value that comes with the request."""

    name: str


class Field(NamedTuple):
    """One field that is asked for."""

    name: str
    alias: str
    arguments: dict[str, Any]
    selections: Selections
    directives: dict[str, dict[str, Any]]


class Spread(NamedTuple):
    """The selections of a named fragment."""

    name: str
    directives: dict[str, dict[str, Any]]


class Inline(NamedTuple):
    """Selections of a fragment without a name."""

    selections: Selections
    directives: dict[str, dict[str, Any]]


class Operation(NamedTuple):
    """A query or mutation: its name, the defaults of its variables, what it asks for."""

    kind: str
    name: str
    defaults: dict[str, Any]
    selections: Selections


class Asked(NamedTuple):
    """A field as it is to be answered: fragments gone, variables filled in."""

    name: str
    alias: str
    arguments: dict[str, Any]
    fields: tuple["Asked", ...]


def asked(text: str, variables: Mapping[str, Any], operation: str) -> tuple[str, tuple[Asked, ...]]:
    """What a document asks for: whether by a query or a mutation, and which fields.

    Raises:
        Refused: for what cannot be read, or asks for too much.
    """
    if len(text) > LENGTH_MAX:
        raise Refused(f"a document has at most {LENGTH_MAX} characters")
    operations, fragments = _Parser(text).document()
    found = [each for each in operations if not operation or each.name == operation]
    if len(found) != 1:
        raise Refused("Must provide operation name if query contains multiple operations.")
    only = found[0]
    values = {**only.defaults, **variables}
    resolver = _Resolver(fragments, values)
    fields = resolver.fields(only.selections, 1, frozenset())
    if len(fields) > ROOT_FIELDS_MAX:
        raise Refused(
            f"GraphQL queries should have at most {ROOT_FIELDS_MAX} root fields, got {len(fields)} root fields."
        )
    return only.kind, fields


class _Resolver:
    """Puts fragments and variables in their places."""

    def __init__(self, fragments: Mapping[str, Selections], variables: Mapping[str, Any]) -> None:
        self._fragments = fragments
        self._variables = variables
        self._count = 0

    def fields(self, selections: Selections, depth: int, within: frozenset[str]) -> tuple[Asked, ...]:
        if depth > DEPTH_MAX:
            raise Refused(f"Query exceeds maximum depth of {DEPTH_MAX}")
        found: dict[str, Asked] = {}
        aliases = 0
        for field in self._flat(selections, within):
            aliases += field.alias != field.name
            if aliases > ALIASES_MAX:
                raise Refused(f"GraphQL queries should have at most {ALIASES_MAX} aliases.")
            arguments = {name: self._filled(value) for name, value in field.arguments.items()}
            inner = self.fields(field.selections, depth + 1, within)
            before = found.get(field.alias)
            if before is not None:
                inner = (*before.fields, *(each for each in inner if each not in before.fields))
            found[field.alias] = Asked(field.name, field.alias, arguments, inner)
        return tuple(found.values())

    def _flat(self, selections: Selections, within: frozenset[str]) -> Iterator[Field]:
        for each in selections:
            self._count += 1
            if self._count > SELECTIONS_MAX:
                raise Refused(f"Query exceeds maximum total selections of {SELECTIONS_MAX}")
            if not self._wanted(each.directives):
                continue
            if isinstance(each, Field):
                yield each
            elif isinstance(each, Inline):
                yield from self._flat(each.selections, within)
            elif each.name in within:
                raise Refused(f"Cannot spread fragment '{each.name[:100]}' within itself.")
            elif each.name not in self._fragments:
                raise Refused(f"Unknown fragment '{each.name[:100]}'.")
            else:
                yield from self._flat(self._fragments[each.name], within | {each.name})

    def _wanted(self, directives: Mapping[str, dict[str, Any]]) -> bool:
        skip = self._filled(directives.get("skip", {}).get("if", False))
        return not skip and bool(self._filled(directives.get("include", {}).get("if", True)))

    def _filled(self, value: Any) -> Any:
        if isinstance(value, Variable):
            return self._variables.get(value.name)
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        if isinstance(value, dict):
            return {name: self._filled(each) for name, each in value.items()}
        return value


class _Parser:
    """Reads one document."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def document(self) -> tuple[list[Operation], dict[str, Selections]]:
        operations: list[Operation] = []
        fragments: dict[str, Selections] = {}
        while self._peek() != _END:
            if self._peek() == ("mark", "{"):
                operations.append(Operation("query", "", {}, self._selections()))
                continue
            word = self._name()
            if word == "fragment":
                name = self._name()
                if self._name() != "on":
                    raise self._bad()
                self._name()
                self._directives()
                fragments[name] = self._selections()
            elif word in ("query", "mutation"):
                name = self._name() if self._peek()[0] == "name" else ""
                defaults = self._variables()
                self._directives()
                operations.append(Operation(word, name, defaults, self._selections()))
            else:
                raise self._bad()
        return operations, fragments

    def _selections(self) -> Selections:
        self._enter()
        self._expect("{")
        found: list[Field | Spread | Inline] = []
        while not self._took("}"):
            if self._took("..."):
                found.append(self._fragment())
            else:
                found.append(self._field())
        self._depth -= 1
        return tuple(found)

    def _fragment(self) -> Spread | Inline:
        if self._peek()[0] == "name" and self._peek()[1] != "on":
            return Spread(self._name(), self._directives())
        if self._peek() == ("name", "on"):
            self._name()
            self._name()
        directives = self._directives()
        return Inline(self._selections(), directives)

    def _field(self) -> Field:
        alias = name = self._name()
        if self._took(":"):
            name = self._name()
        arguments = self._arguments()
        directives = self._directives()
        selections = self._selections() if self._peek() == ("mark", "{") else ()
        return Field(name, alias, arguments, selections, directives)

    def _arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._took("("):
            while not self._took(")"):
                name = self._name()
                self._expect(":")
                found[name] = self._value()
        return found

    def _directives(self) -> dict[str, dict[str, Any]]:
        found = {}
        while self._took("@"):
            name = self._name()
            found[name] = self._arguments()
        return found

    def _variables(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {}
        if self._took("("):
            while not self._took(")"):
                self._expect("$")
                name = self._name()
                self._expect(":")
                self._type()
                if self._took("="):
                    defaults[name] = self._value()
                self._directives()
        return defaults

    def _type(self) -> None:
        self._enter()
        if self._took("["):
            self._type()
            self._expect("]")
        else:
            self._name()
        self._took("!")
        self._depth -= 1

    def _value(self) -> Any:
        self._enter()
        kind, text = self._next()
        found: Any
        if (kind, text) == ("mark", "$"):
            found = Variable(self._name())
        elif (kind, text) == ("mark", "["):
            found = []
            while not self._took("]"):
                found.append(self._value())
        elif (kind, text) == ("mark", "{"):
            found = {}
            while not self._took("}"):
                name = self._name()
                self._expect(":")
                found[name] = self._value()
        elif kind in ("int", "float"):
            found = int(text) if kind == "int" and len(text) < 20 else float(text)
        elif kind in ("text", "block"):
            found = self._text(kind, text)
        elif kind == "name":
            found = {"true": True, "false": False, "null": None}.get(text, text)
        else:
            raise self._bad()
        self._depth -= 1
        return found

    def _text(self, kind: str, text: str) -> str:
        if kind == "block":
            return text[3:-3].replace('\\"""', '"""').strip()
        try:
            return str(msgspec.json.decode(text))
        except msgspec.DecodeError:
            raise self._bad() from None

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > 2 * DEPTH_MAX:
            raise Refused(f"Query exceeds maximum depth of {DEPTH_MAX}")

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _name(self) -> str:
        kind, text = self._next()
        if kind != "name":
            raise self._bad()
        return text

    def _took(self, mark: str) -> bool:
        if self._peek() == _END and mark in ")]}":
            raise self._bad()
        if self._peek() == ("mark", mark):
            self._at += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._took(mark):
            self._at += 1
            raise self._bad()

    def _bad(self) -> Refused:
        at = min(self._at, len(self._tokens)) - 1
        found = self._tokens[at][1][:50] if at >= 0 and self._at <= len(self._tokens) else "<EOF>"
        return Refused(f"Syntax Error: Unexpected {found!r}.")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = count = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Refused(f"Syntax Error: Unexpected character: {text[at : at + 1]!r}.")
        at = match.end()
        if match.lastgroup != "space":
            count += 1
            if count > TOKENS_MAX:
                raise Refused(f"a document has at most {TOKENS_MAX} tokens")
            yield str(match.lastgroup), match[0]
