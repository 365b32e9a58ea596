"""Judge rules over facts: one evaluator for gate, canary and monitor.

In: rules (CEL) and a nested mapping of facts. Out: an `Outcome` for each, saying what was measured and what would pass.
CEL has no loops without end, no assignments and no way to Python: facts reach it as plain numbers, strings, lists and
mappings, and the only functions added are those in `FUNCTIONS` and what the caller names.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from roadworthy.gates import expression
from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.rule import Outcome, Rule

LENGTH_MAX = 1_000
# long chains are walked by recursion: this many words are far from the end of a thread's stack
WORDS_MAX = 300
DEPTH_MAX = 20
# two loops, one in the other, over at most so many entries each: a second or two
MACROS_MAX = 2
NESTED_ENTRIES_MAX = 1_000
ENTRIES_SHOWN_MAX = 20
KNOWN_PATHS_MAX = 5_000

GATE_FACTS = frozenset({"metrics", "champion", "compare", "cost", "data", "slices", "run", "approvals", "model"})
_TURNED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "==": "==", "!=": "!="}
_OF_CHAMPION = frozenset({"champion", "compare"})
NO_CHAMPION = "no champion yet: there is nothing to compare with"


def count(approvals: Iterable[Mapping[str, Any]], role: str) -> int:
    """How many different people approved in a role: `approvals.count("ml-engineer")`."""
    return len({str(a.get("actor")) for a in approvals if a.get("role") == role})


FUNCTIONS: dict[str, Callable[..., Any]] = {"count": count}


def check(rule: Rule | str, *, known: frozenset[str] | None = None) -> None:
    """Refuse a rule that could not be judged: wrong syntax, too long, too deep.

    Args:
        rule: as in the project file.
        known: names of the facts there will be, such as `GATE_FACTS`; None leaves names unchecked.

    Raises:
        Fault: invalid, with the column where the syntax is wrong, or the nearest known name.
    """
    text = rule if isinstance(rule, str) else rule.rule
    _compile(text)
    if known is None:
        return
    for path in expression.paths(text):
        if path.root not in known:
            near = difflib.get_close_matches(path.root, known, n=1)
            fix = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(sorted(known))}"
            raise invalid(f"there is no fact called `{path.root}`", where=f"rule `{text}`", fix=fix)


def judge(
    rules: Iterable[Rule | str],
    facts: Mapping[str, Any],
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> tuple[Outcome, ...]:
    """What each rule comes to.

    A rule over a fact that was not measured has not passed, and its outcome names the fact and the nearest known one.
    Where `facts["champion"]` is there but empty, the parts of a rule that compare with the champion are let through,
    and the outcome says so: the first model has nothing to be compared with.

    Args:
        rules: CEL expressions; each yields true when all is well.
        facts: JSON-like values only.
        functions: more functions for CEL, by name; a method call passes its receiver as the first argument.
    """
    judging = _Judging(facts, {**FUNCTIONS, **(functions or {})})
    return tuple(judging.outcome(Rule(rule=rule) if isinstance(rule, str) else rule) for rule in rules)


class _Judging:
    """The facts of one judgement in the forms that are needed."""

    def __init__(self, facts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> None:
        self.facts = facts
        self.functions = functions
        import cel

        self._entries = _widest(facts)
        functions_named = dict(functions)
        self._as_they_are = cel.Context(variables=_plain(facts, float_all=False), functions=functions_named)
        self._as_doubles = cel.Context(variables=_plain(facts, float_all=True), functions=functions_named)
        self.no_champion = "champion" in facts and not facts["champion"]

    def outcome(self, rule: Rule) -> Outcome:
        try:
            _compile(rule.rule)
        except Fault as wrong:
            return self._said(rule, passed=False, problem=wrong.what)
        parts = expression.parts(rule.rule)
        exempt = [part for part in parts if self.no_champion and _of_champion(part)]
        would_pass: list[str] = []
        failed: list[str] = []
        for part in parts:
            if part in exempt:
                continue
            verdict, problem = self._verdict(part)
            if problem:
                return self._said(rule, passed=False, problem=problem, would_pass=self._would_pass(part))
            (would_pass if verdict else failed).append(self._would_pass(part))
        problem = NO_CHAMPION if exempt else ""
        return self._said(rule, passed=not failed, problem=problem, would_pass=" && ".join(failed or would_pass))

    def _said(self, rule: Rule, *, passed: bool, problem: str = "", would_pass: str = "") -> Outcome:
        return Outcome(
            rule=rule.rule, name=rule.name or rule.rule, passed=passed, level=rule.level, why=rule.why,
            measured=self._measured(rule.rule), would_pass=would_pass, problem=problem,
        )  # fmt: skip

    def _verdict(self, part: str) -> tuple[bool, str]:
        """Whether a part holds, and why that could not be said."""
        if expression.macros(part) > 1 and self._entries > NESTED_ENTRIES_MAX:
            return False, f"two loops over {self._entries} entries would take too long; one loop is allowed"
        try:
            value = self._evaluate(part)
        except _Unjudged as unjudged:
            return False, self._missing(part) or str(unjudged)
        if not isinstance(value, bool):
            return False, f"`{part}` yields {_shown(value)}; a rule must yield true or false"
        return value, ""

    def _evaluate(self, text: str) -> Any:
        """The value of an expression: first with every number a double, else with numbers as they are."""
        try:
            return self._with(expression.as_doubles(text), self._as_doubles)
        except _Unjudged:
            return self._with(text, self._as_they_are)

    def _with(self, text: str, context: Any) -> Any:
        import cel

        try:
            return cel.evaluate(text, context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as problem:  # a panic in the evaluator is no Exception
            raise _Unjudged(_in_words(problem)) from None

    def _missing(self, part: str) -> str:
        """Which fact of a part was not measured, and the nearest that was."""
        for path in expression.paths(part):
            found, value = _resolve(self.facts, path.keys)
            if found and not _is_nothing(value):
                continue
            said = f"{path.text} was not measured" if not found else f"{path.text} was measured as {_shown(value)}"
            known = [text for keys in _known(self.facts) if (text := expression.key_text(keys)) != path.text]
            near = difflib.get_close_matches(expression.key_text(path.keys), known, n=1, cutoff=0.5)
            return f"{said}; the nearest that was is {near[0]}" if near else said
        return ""

    def _measured(self, text: str) -> dict[str, Any]:
        measured: dict[str, Any] = {}
        methods = frozenset(self.functions)
        called = expression.calls(text, methods)
        for call in called:
            try:
                measured[call] = self._evaluate(call)
            except _Unjudged:
                continue
        for path in expression.paths(text):
            found, value = _resolve(self.facts, path.keys)
            if found and not any(call.startswith(f"{path.text}.") for call in called):
                measured[path.text] = _brief(value)
        return measured

    def _would_pass(self, part: str) -> str:
        """The part with its right side evaluated, where that names facts."""
        sides = expression.comparison(part)
        if sides is None:
            return part
        left, sign, right = sides
        if not expression.paths(left) and expression.paths(right):
            left, sign, right = right, _TURNED[sign], left
        if not expression.paths(right) and not expression.calls(right, frozenset(self.functions)):
            return f"{left} {sign} {right}"
        try:
            limit = self._evaluate(right)
            value = self._evaluate(left)
        except _Unjudged:
            return part
        return f"{left} {sign} {_limit(limit, value)} ({right})"


class _Unjudged(Exception):
    """An expression could not be evaluated."""


def _compile(text: str) -> None:
    where = f"rule `{text if len(text) <= 80 else text[:77] + '...'}`"
    if len(text) > LENGTH_MAX:
        raise invalid(f"the rule has {len(text)} characters; at most {LENGTH_MAX} are allowed", where=where)
    if (words := len(expression.tokens(text))) > WORDS_MAX:
        raise invalid(f"the rule has {words} words and signs; at most {WORDS_MAX} are allowed", where=where)
    if (depth := expression.depth(text)) > DEPTH_MAX:
        raise invalid(f"brackets are nested {depth} deep; at most {DEPTH_MAX} are allowed", where=where)
    if (loops := expression.macros(text)) > MACROS_MAX:
        raise invalid(f"the rule has {loops} loops; at most {MACROS_MAX} are allowed", where=where)
    import cel

    try:
        cel.compile(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:
        raise _syntax(problem, where) from None


def _syntax(problem: BaseException, where: str) -> Fault:
    found = re.search(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)", str(problem))
    if found is None:
        return invalid(f"the rule is no CEL expression: {_in_words(problem)}", where=where)
    reason = found[3].split(" expecting ")[0].replace("'<EOF>'", "the end of the rule")
    return invalid(
        f"the rule is no CEL expression: {reason} at column {found[2]}",
        where=where,
        fix="write it such as `metrics.auc >= 0.66` or `a <= 1 && b == 0`",
    )


def _in_words(problem: BaseException) -> str:
    text = str(problem)
    if isinstance(problem, KeyError):
        return f"{text} was not measured"
    if isinstance(problem, TypeError):
        return "it compares or adds what does not go together, such as a text and a number"
    return text.split(" Check that", maxsplit=1)[0].splitlines()[0] if text else type(problem).__name__


def _of_champion(part: str) -> bool:
    return any(path.root in _OF_CHAMPION for path in expression.paths(part))


def _plain(value: Any, *, float_all: bool) -> Any:
    """Facts as CEL takes them: nothing but mappings with text keys, lists, text, numbers, booleans and null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, float_all=float_all) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, float_all=float_all) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return float(value) if float_all else value
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _widest(value: Any) -> int:
    """The number of entries of the largest mapping or list among the facts."""
    if isinstance(value, Mapping):
        return max(len(value), *map(_widest, value.values()), 0)
    if isinstance(value, list | tuple):
        return max(len(value), *map(_widest, value), 0)
    return 0


def _resolve(facts: Any, keys: tuple[str | int, ...]) -> tuple[bool, Any]:
    for key in keys:
        try:
            facts = facts[key] if not isinstance(facts, Mapping) else facts[str(key)]
        except (KeyError, IndexError, TypeError):
            return False, None
    return True, facts


def _known(facts: Any, keys: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all facts that are not mappings themselves."""
    found: list[tuple[str, ...]] = []
    for key, value in facts.items():
        if len(found) >= KNOWN_PATHS_MAX:
            break
        if isinstance(value, Mapping):
            found += _known(value, (*keys, str(key)))
        else:
            found.append((*keys, str(key)))
    return found[:KNOWN_PATHS_MAX]


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _brief(value: Any) -> Any:
    if isinstance(value, Mapping | list | tuple) and len(value) > ENTRIES_SHOWN_MAX:
        return f"{len(value)} entries"
    return value


def _limit(limit: Any, value: Any) -> str:
    """A limit as people read it, with as many digits as tell it from what was measured."""
    for digits in (4, 6, 9):
        if not isinstance(value, float) or _shown(limit, digits) != _shown(value, digits):
            return _shown(limit, digits)
    return repr(limit)


def _shown(value: Any, digits: int = 4) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return f"{value:.{digits}f}" if abs(value) < 10 and value != int(value) else f"{value:.{digits + 6}g}"
    return str(value)
