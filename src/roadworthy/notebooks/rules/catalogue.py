"""Every rule: ours, and those that installed packages add (entry point group `roadworthy.notebook_rules`).

Called by `check.py`, by the command and by the documentation. A package's entry point names a tuple of rules.
"""

import functools
import re
from collections.abc import Iterable
from importlib import metadata

from roadworthy.notebooks.rules import (
    dead,
    imports,
    leakage,
    magics,
    names,
    order,
    outputs,
    paths,
    personal,
    randomness,
    rerun,
    secrets,
)
from roadworthy.notebooks.rules.rule import NotebookRule
from roadworthy.nouns.errors import invalid

GROUP = "roadworthy.notebook_rules"
CODE = re.compile(r"[A-Z]{2,6}\d{3,4}")
_FAMILIES = (order, names, rerun, dead, imports, magics, paths, secrets, personal, randomness, leakage, outputs)


@functools.cache
def every() -> tuple[NotebookRule, ...]:
    """All rules, in the order of their codes.

    Raises:
        Fault: invalid when a package's rules cannot be loaded, or take a code that is taken.
    """
    found: dict[str, NotebookRule] = {}
    for family in _FAMILIES:
        for rule in family.RULES:
            assert rule.code not in found, rule.code
            found[rule.code] = rule
    for point in metadata.entry_points(group=GROUP):
        try:
            added = tuple(point.load())
        except Exception as problem:
            raise invalid(
                f"its notebook rules cannot be loaded: {problem}",
                where=point.value,
                fix="upgrade or remove the package",
            ) from problem
        for rule in added:
            if rule.code in found or not CODE.fullmatch(rule.code):
                raise invalid(f"its rule {rule.code!r} has no code of its own", where=point.value)
            found[rule.code] = rule
    return tuple(found[code] for code in sorted(found))


def chosen(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> tuple[NotebookRule, ...]:
    """The rules that are on: those that `select` names, by code, beginning of a code, or name, but not `ignore`.

    Raises:
        Fault: invalid when a word names no rule.
    """
    select, ignore = tuple(select), tuple(ignore)
    rules = every()
    for word in (*select, *ignore):
        if not any(_means(word, rule) for rule in rules):
            import difflib

            known = [name for rule in rules for name in (rule.code, rule.name)]
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise invalid(f"no rule is called {word!r}", fix=f"{hint}`rw notebook check --rules` lists them")
    return tuple(
        rule
        for rule in rules
        if (not select or any(_means(word, rule) for word in select)) and not any(_means(word, rule) for word in ignore)
    )


def _means(word: str, rule: NotebookRule) -> bool:
    return bool(word) and (rule.code.startswith(word.upper()) or rule.name == word.lower())
