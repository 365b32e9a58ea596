"""What steps are called: by a tag, by the one value they make, by their heading, or by what they do.

In: a group, and the names that are taken. Out: a name that reads well and is free. Called by `planning.py`.
"""

import keyword
import re
from collections.abc import Collection

from roadworthy.notebooks.convert.grouping import Group
from roadworthy.notebooks.convert.hoisting import lower
from roadworthy.notebooks.convert.program import Program
from roadworthy.notebooks.convert.seen import Seen, key_of
from roadworthy.pipelines.scopes import is_builtin

WORDS_MAX = 3
LENGTH_MAX = 40
# Names that say nothing of what they stand for.
_GENERIC = frozenset(
    {"df", "data", "x", "y", "xy", "tmp", "temp", "res", "result", "results", "out", "output", "obj", "val", "df1",
     "df2",     "arr", "lst", "dat", "ret", "mod", "reg", "clf", "est", "fit", "pipe"}
)  # fmt: skip
_STOP = frozenset(
    {"the", "a", "an", "of", "and", "or", "to", "in", "on", "for", "with", "by", "is", "are", "it", "its", "we", "our",
     "how", "what", "let", "lets", "us", "s", "at", "as", "from", "step", "section", "part", "example", "using", "use",
     "i", "this", "that", "do", "does", "can", "be", "into", "then", "some", "first", "now", "will", "your", "you",
     "would", "should", "tell", "there", "which", "when", "why", "so", "next", "more", "all", "about", "see"}
)  # fmt: skip
# A step is called by what it makes, not by the doing.
_DOING = frozenset(
    {"load", "loading", "read", "reading", "get", "getting", "import", "importing", "create", "creating", "make",
     "making", "build", "building", "fetch", "generate", "generating", "compute", "computing", "define", "defining",
     "prepare", "preparing", "train", "training", "fit", "fitting", "evaluate", "evaluating"}
)  # fmt: skip
_BY_KIND = {"prepare": "prepared", "fit": "model", "measure": "evaluation", "report": "report"}
_LOADS = re.compile(r"\b(read_\w+|load_\w+|fetch_\w+|make_\w+|load|load_pandas|get_data|open)\(")


def of_group(group: Group, program: Program, seen: Seen | None, taken: Collection[str]) -> str:
    """The name of a group's step."""
    for wanted in _wanted(group, program, seen):
        name = lower(wanted)[:LENGTH_MAX].strip("_")
        if usable(name, taken):
            return name
    base = _base(group)
    return next(name for n in range(2, 10_000) if usable(name := f"{base}_{n}", taken))


def _base(group: Group) -> str:
    """What a step is called when nothing better is known."""
    # Models that were fitted only to be compared leave nothing but numbers.
    return "comparison" if group.kind == "fit" and not group.gives else _BY_KIND[group.kind]


def usable(name: str, taken: Collection[str]) -> bool:
    """Whether something of ours can be called so."""
    free = name not in taken and not keyword.iskeyword(name) and not keyword.issoftkeyword(name)
    return name.isidentifier() and free and not is_builtin(name)


def slug(title: str) -> str:
    """A heading as a name: its first telling words."""
    plain = re.sub(r"\$[^$]*\$|`|\*|_|<[^>]*>|\[|\]\([^)]*\)|&\w+;", " ", title)
    plain = re.sub(r"^\s*[\dIVX]+(\.\d+)*[.):]?\s+", "", plain)
    words = [w for w in re.findall(r"[A-Za-z][A-Za-z0-9]*", plain.replace("'", "")) if w.lower() not in _STOP]
    while len(words) > 1 and words[0].lower() in _DOING:
        words = words[1:]
    name = "_".join(words[:WORDS_MAX]).lower()
    return name if name.isidentifier() else ""


def _wanted(group: Group, program: Program, seen: Seen | None) -> list[str]:
    found = [group.tag] if group.tag else []
    values = list(group.gives)
    shown = sum(r.bare for e in group.effects for r in e.statement.results)
    measured = [r for e in group.effects for r in e.statement.results if r.what == "measure"]
    title = slug(program.sections[group.effects[0].statement.cell].title)
    if group.kind == "measure" and measured:
        found.append("evaluation")
    if len(values) == 1 and not shown:
        name = values[0].name
        if len(name) > 2 and lower(name) not in _GENERIC:
            found.append(name)
        elif group.kind == "fit":
            found += ["model", *_class_of(values[0], seen)]
    if title:
        found.append(title)
    if group.kind == "fit" and len(values) + shown > 1:
        found.append("fitted")
    if group.kind == "prepare" and not group.takes and _LOADS.search("\n".join(_texts(group))):
        found.append("loaded" if len(values) == 1 else "data")
    found += _class_of(values[0], seen) if len(values) == 1 and group.kind == "fit" else []
    return [*found, _base(group)]


def _texts(group: Group) -> list[str]:
    import ast

    return [ast.unparse(e.statement.node) for e in group.effects]


def _class_of(crossing: "object", seen: Seen | None) -> list[str]:
    name, maker = getattr(crossing, "name", ""), getattr(crossing, "maker", (0, 0))
    value = seen.values.get(key_of(maker, name)) if seen is not None else None
    return [] if value is None else [value.type.rpartition(".")[2]]
