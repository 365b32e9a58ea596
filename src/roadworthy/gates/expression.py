"""The text of a rule, taken apart: its tokens, the facts it names, and the parts that all must hold.

In: a CEL expression. Out: what rules.py shows beside a verdict (what was measured, which part failed). The verdict
itself is CEL's; nothing here decides.
"""

import re

import msgspec

COMPARISONS = frozenset({"<=", ">=", "==", "!=", "<", ">"})
MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_WORDS = frozenset({"true", "false", "null", "in"})
_OPENING = {"(": ")", "[": "]", "{": "}"}
_TOKEN = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*)
    | (?P<string>[rRbB]{0,2}(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<sign>&&|\|\||<=|>=|==|!=|.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


class Token(msgspec.Struct, frozen=True):
    """One word of an expression: its kind (`string`, `number`, `name`, `sign`), its text, where it starts and ends."""

    kind: str
    text: str
    start: int
    end: int


class Path(msgspec.Struct, frozen=True):
    """A fact that an expression names: `text` as written, and the keys that lead to it."""

    text: str
    keys: tuple[str | int, ...]

    @property
    def root(self) -> str:
        return str(self.keys[0])


def tokens(text: str) -> list[Token]:
    """The words of an expression, without space and comments; whatever is no CEL comes out as one-letter signs."""
    found = (Token(str(m.lastgroup), m[0], m.start(), m.end()) for m in _TOKEN.finditer(text))
    return [token for token in found if token.kind != "space"]


def depth(text: str) -> int:
    """How deep brackets are nested at most."""
    deepest = now = 0
    for token in tokens(text):
        now += (token.text in _OPENING) - (token.text in _OPENING.values())
        deepest = max(deepest, now)
    return deepest


def macros(text: str) -> int:
    """How many loops (`all`, `exists`, `map`, `filter`) an expression has."""
    words = tokens(text)
    return sum(_is_macro(words, i) for i in range(len(words)))


def parts(text: str) -> list[str]:
    """The conjuncts: expressions that all must hold. One that is no conjunction is its own only part.

    >>> parts("a > 1 && (b < 2 && (c || d))")
    ['a > 1', 'b < 2', 'c || d']
    """
    text = _bare(text)
    top = _top(tokens(text))
    ands = [token for token in top if token.text == "&&"]
    if not ands or any(token.text in {"||", "?"} for token in top):
        return [text]
    edges = [0, *(edge for token in ands for edge in (token.start, token.end)), len(text)]
    return [part for i in range(0, len(edges), 2) for part in parts(text[edges[i] : edges[i + 1]])]


def comparison(text: str) -> tuple[str, str, str] | None:
    """Left side, operator, right side, where an expression is one comparison.

    >>> comparison("metrics.auc >= champion.metrics.auc - 0.005")
    ('metrics.auc', '>=', 'champion.metrics.auc - 0.005')
    """
    top = _top(tokens(text))
    signs = [token for token in top if token.text in COMPARISONS]
    if len(signs) != 1 or any(token.text in {"&&", "||", "?", "in"} for token in top):
        return None
    return text[: signs[0].start].strip(), signs[0].text, text[signs[0].end :].strip()


def paths(text: str) -> list[Path]:
    """The facts that an expression names, in order of first mention.

    >>> [path.text for path in paths('slices["carrier"].min.recall >= 0.3 && size(metrics) > 2')]
    ['slices["carrier"].min.recall', 'metrics']
    """
    words = tokens(text)
    bound = {words[i + 2].text for i in range(len(words) - 2) if _is_macro(words, i)}
    found: dict[str, Path] = {}
    for i, token in enumerate(words):
        if token.kind != "name" or token.text in _WORDS or token.text in bound:
            continue
        if _text(words, i - 1) == "." or _text(words, i + 1) == "(":
            continue
        keys, end = _keys(words, i)
        path = Path(text[token.start : words[end].end], keys)
        found.setdefault(path.text, path)
    return list(found.values())


def calls(text: str, methods: frozenset[str]) -> list[str]:
    """The calls of the named methods on a fact, such as `approvals.count("ml-engineer")`, as written."""
    words = tokens(text)
    found = []
    for i, token in enumerate(words):
        if token.kind != "name" or token.text in _WORDS or _text(words, i - 1) == "." or _text(words, i + 1) == "(":
            continue
        _, end = _keys(words, i)
        if _text(words, end + 1) == "." and _text(words, end + 2) in methods and _text(words, end + 3) == "(":
            close = _closing(words, end + 3)
            if close is not None:
                found.append(text[token.start : words[close].end])
    return list(dict.fromkeys(found))


def as_doubles(text: str) -> str:
    """The expression with whole numbers written as doubles, since CEL does not add an int to a double.

    Numbers in an index (`list[0]`) stay as they are.
    """
    words, written, place, opened = tokens(text), [], 0, []
    for i, token in enumerate(words):
        if token.text in _OPENING:
            before = words[i - 1] if i else token
            follows_value = before.text in {")", "]"} or (before.kind in {"name", "string"} and before.text != "in")
            opened.append(token.text == "[" and follows_value)
        elif token.text in _OPENING.values() and opened:
            opened.pop()
        written.append(text[place : token.end])
        place = token.end
        if token.kind == "number" and token.text.isdigit() and not (opened and opened[-1]):
            written.append(".0")
    return "".join([*written, text[place:]])


def key_text(keys: tuple[str | int, ...]) -> str:
    """A path as it would be written: `slices["carrier"].min` or `slices.carrier.min` name the same fact.

    >>> key_text(("slices", "tail number", "min"))
    'slices["tail number"].min'
    """
    written = str(keys[0])
    for key in keys[1:]:
        plain = isinstance(key, str) and re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII)
        written += f".{key}" if plain else f"[{msgspec.json.encode(key).decode()}]"
    return written


def _keys(words: list[Token], i: int) -> tuple[tuple[str | int, ...], int]:
    """The keys of the path that starts at word `i`, and its last word; a method call ends it before."""
    keys: list[str | int] = [words[i].text]
    while True:
        sign = _text(words, i + 1)
        if sign == "." and i + 2 < len(words) and words[i + 2].kind == "name" and _text(words, i + 3) != "(":
            keys.append(words[i + 2].text)
            i += 2
        elif sign == "[" and _text(words, i + 3) == "]" and (key := _literal(words[i + 2])) is not None:
            keys.append(key)
            i += 3
        else:
            return tuple(keys), i


def _literal(token: Token) -> str | int | None:
    if token.kind == "number" and token.text.isdigit():
        return int(token.text)
    if token.kind == "string" and token.text[0] in "\"'" and "\\" not in token.text:
        return token.text[1:-1]
    return None


def _is_macro(words: list[Token], i: int) -> bool:
    return words[i].text in MACROS and _text(words, i - 1) == "." and _text(words, i + 1) == "("


def _text(words: list[Token], i: int) -> str:
    return words[i].text if 0 <= i < len(words) else ""


def _closing(words: list[Token], i: int) -> int | None:
    level = 0
    for j in range(i, len(words)):
        level += (words[j].text in _OPENING) - (words[j].text in _OPENING.values())
        if level == 0:
            return j
    return None


def _top(words: list[Token]) -> list[Token]:
    """The words outside all brackets."""
    level, found = 0, []
    for token in words:
        if token.text in _OPENING:
            level += 1
        elif token.text in _OPENING.values():
            level -= 1
        elif level == 0:
            found.append(token)
    return found


def _bare(text: str) -> str:
    """Without the brackets around the whole."""
    text = text.strip()
    while text.startswith("(") and _closing(words := tokens(text), 0) == len(words) - 1:
        text = text[1:-1].strip()
    return text
