"""Positions agree with tomllib on every document: the same paths, and the value stands where it is said to."""

import json
import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.store.toml_positions import line_and_column, spots

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)
BARE = st.from_regex(r"[A-Za-z0-9_-]{1,5}", fullmatch=True)
BLANK = st.sampled_from(["", " ", "\t", "  "])
BREAK = st.sampled_from(["", "\n", " # a ] } \" ' comment\n", "\n\n  "])


def paths(value, path=()):
    """Every path of a decoded document."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from paths(item, (*path, place))


@st.composite
def scalar(draw) -> str:
    text = draw(TEXT)
    literal = text.replace("'", "")
    return draw(
        st.sampled_from(
            [
                json.dumps(text, ensure_ascii=False).replace("\x7f", ""),
                f"'{literal}'",
                f'"""{literal.replace(chr(92), "").replace(chr(34), "")}\n# no "" [x]\n"""""',
                f"'''{literal}\n[a]\n = '''''",
                "0xFF", "-1_000", "1.5e3", "inf", "true", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00", "07:32:00",
            ]
        )
    )  # fmt: skip


@st.composite
def key(draw) -> str:
    bare = draw(BARE)
    return draw(st.sampled_from([bare, json.dumps(draw(TEXT), ensure_ascii=False), f"'{bare}.x'"]))


@st.composite
def value(draw, depth: int = 2) -> str:
    kind = draw(st.sampled_from(["scalar", "array", "table"] if depth else ["scalar"]))
    if kind == "scalar":
        return draw(scalar())
    if kind == "array":
        items = [draw(value(depth - 1)) for _ in range(draw(st.integers(0, 3)))]
        gap = draw(BREAK)
        tail = "," if items and draw(st.booleans()) else ""
        return "[" + gap + f"{draw(BREAK)},{gap}".join(items) + tail + gap + "]"
    names = draw(st.lists(key(), max_size=3, unique=True))
    blank = draw(BLANK)
    return "{" + f"{blank},{blank}".join(f"{n}{blank}={blank}{draw(value(depth - 1))}" for n in names) + "}"


@st.composite
def document(draw) -> str:
    lines = []
    for _ in range(draw(st.integers(0, 5))):
        parts = [draw(key()) for _ in range(draw(st.integers(1, 3)))]
        dotted = f"{draw(BLANK)}.{draw(BLANK)}".join(parts)
        kind = draw(st.sampled_from(["pair", "pair", "table", "tables"]))
        if kind == "pair":
            lines.append(f"{draw(BLANK)}{dotted}{draw(BLANK)}={draw(BLANK)}{draw(value())}{draw(BLANK)}")
        elif kind == "table":
            lines.append(f"[{draw(BLANK)}{dotted}{draw(BLANK)}] # x")
        else:
            lines.append(f"{draw(BLANK)}[[{dotted}]]")
    return "\n".join(lines)


@settings(max_examples=400, deadline=None)
@given(document())
def test_paths_and_values_are_those_of_tomllib(text: str) -> None:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = spots(text)
    assert set(found) == set(paths(table))
    for path, spot in found.items():
        decoded = table
        for part in path:
            decoded = decoded[part]
        if not isinstance(decoded, dict | list):
            # What stands at the offset, cut anywhere it parses, is the value.
            assert _reads_as(text[spot.value :], decoded)
        if isinstance(path[-1], str):
            assert _is_key(text[spot.key :], path[-1])


def _reads_as(text: str, decoded) -> bool:
    for end in range(1, min(len(text), 200) + 1):
        try:
            if repr(tomllib.loads(f"k = {text[:end]}")["k"]) == repr(decoded):
                return True
        except tomllib.TOMLDecodeError:
            continue
    return False


def _is_key(text: str, name: str) -> bool:
    for end in range(1, min(len(text), 80) + 1):
        try:
            if list(tomllib.loads(f"{text[:end]} = 1")) == [name]:
                return True
        except tomllib.TOMLDecodeError:
            continue
    return False


def test_lines_and_columns_count_from_one() -> None:
    text = "a = 1\n\n['é'.b]\n  c = [1,\n    2]\n"
    where = {path: line_and_column(text, spot.value) for path, spot in spots(text).items()}
    assert where == {
        ("a",): (1, 5),
        ("é",): (3, 2),
        ("é", "b"): (3, 6),
        ("é", "b", "c"): (4, 7),
        ("é", "b", "c", 0): (4, 8),
        ("é", "b", "c", 1): (5, 5),
    }
