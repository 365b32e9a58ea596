import ast
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.notebooks.dataflow.cell_flow import CellFlow
from roadworthy.notebooks.dataflow.flow import Flow
from roadworthy.notebooks.dataflow.flow import join as join_cells
from roadworthy.notebooks.dataflow.python import translate
from roadworthy.notebooks.dataflow.walk import walk


def cell(source: str, index: int = 0) -> CellFlow:
    return walk(index, translate(source))


def join(*sources: str, reactive: bool = False) -> Flow:
    return join_cells(tuple(cell(s, n) for n, s in enumerate(sources)), reactive=reactive)


def edges(flow: Flow) -> set[tuple[int, int, str, str]]:
    return {(e.source, e.target, e.name, e.kind) for e in flow.edges}


def nowhere(flow: Flow) -> list[tuple[int, str]]:
    return [(u.cell, u.name) for u in flow.unresolved]


@pytest.mark.parametrize(
    ("source", "defines"),
    [
        ("a = b = 1", {"a", "b"}),
        ("a, (b, *c) = x", {"a", "b", "c"}),
        ("a: int = 1", {"a"}),
        ("a: int", set()),
        ("(a := 1)", {"a"}),
        ("[y := f(x) for x in z]", {"y"}),
        ("for i, j in x: k = i", {"i", "j", "k"}),
        ("with open(f) as a, g() as (b, c): d = 1", {"a", "b", "c", "d"}),
        ("import a.b, c as d", {"a", "d"}),
        ("from a import b as c, d", {"c", "d"}),
        ("from a import *", set()),
        ("def f(a, *b, c=1, **d): e = 1", {"f"}),
        ("class C:\n    x = 1\n    def m(self): self.y = 2", {"C"}),
        ("try: a = 1\nexcept E as e: b = 2\nelse: c = 3\nfinally: d = 4", {"a", "b", "c", "d"}),
        (
            "match x:\n    case [a, *b]: pass\n    case {'k': c, **d}: pass\n    case P(e) as f: pass\n    case _: g = 1",
            set("abcdefg"),
        ),
        ("a = 1\ndel a", set()),
        ("a.b = 1", set()),
        ("a[0] = 1", set()),
        ("f = lambda x: x", {"f"}),
        ("async def f(): pass", {"f"}),
        ("{k: v for k, v in x}", set()),
        ("if c: a = 1", {"a"}),
        ("while c: a = 1", {"a"}),
        ("%store -r a", {"a"}),
        ("a = !ls", {"a"}),
        ("%%timeit\na = 1", set()),
    ],
)
def test_what_a_cell_defines(source: str, defines: set[str]) -> None:
    assert set(cell(source).defines) == defines


@pytest.mark.parametrize(
    ("source", "uses"),
    [
        ("a + b", {"a", "b"}),
        ("a = 1\na + b", {"b"}),
        ("a = a + 1", {"a"}),
        ("a += 1", {"a"}),
        ("print(a)", {"a"}),
        ("[x for x in a if x > b]", {"a", "b"}),
        ("[[y for y in x] for x in a]", {"a"}),
        ("x = 1\n[x for x in a]\nx", {"a"}),
        ("{k: f(v) for k, v in a.items()}", {"f", "a"}),
        ("def f(x=a, *, y: b = c) -> d: return e", {"a", "b", "c", "d"}),
        ("@a\ndef f(): pass", {"a"}),
        ("@a.b(c)\nclass C(d, metaclass=e): x = g", {"a", "c", "d", "e", "g"}),
        ("class C:\n    x = 1\n    y = x\n    z = [x for _ in w]", {"w"}),
        ("f = lambda x: x + a", set()),
        ("df.apply(lambda r: r * k)", {"df", "k"}),
        ("for x in a: x", {"a"}),
        ("with a as b: b", {"a"}),
        ("f'{a} {b!r:{c}}'", {"a", "b", "c"}),
        ("a.b.c[d]", {"a", "d"}),
        ("a[b] = c", {"a", "b", "c"}),
        ("del a", {"a"}),
        ("del a[b]", {"a", "b"}),
        ("try: a\nexcept (E1, mod.E2) as e: e", {"a", "E1", "mod"}),
        ("match a:\n    case b.C(x=1) if y: x", {"a", "b", "y", "x"}),
        ("import a\na.b", set()),
        ("'%s' % a", {"a"}),
        ("(y := a), y", {"a"}),
        ("while a: b = 1\nb", {"a"}),
        ("lambda: a", {"a"}),
        ("!ls {a}", {"a"}),
        ("%time a", {"a"}),
        ("assert a, b", {"a", "b"}),
        ("x: a = b", {"a", "b"}),
        ("await a", {"a"}),
    ],
)
def test_what_a_cell_reads_before_it_binds_it(source: str, uses: set[str]) -> None:
    found = cell(source)
    assert found.error is None
    assert set(found.uses) == uses


def test_a_name_bound_on_some_paths_only_is_told_apart() -> None:
    found = cell("if c:\n    a = 1\na")
    assert set(found.uses) == {"c"}
    assert set(found.perhaps_uses) == {"a"}
    assert found.perhaps == {"a"}
    both = cell("if c: a = 1\nelse: a = 2\na")
    assert not both.perhaps_uses
    left = cell("if c: a = 1\nelse: raise E\na")
    assert not left.perhaps_uses
    tried = cell("try:\n    import a\nexcept ImportError:\n    a = None\na")
    assert not tried.perhaps_uses


def test_a_loop_may_read_what_its_last_round_made() -> None:
    found = cell("for i in x:\n    if i:\n        use(last)\n    last = i")
    assert set(found.uses) == {"x", "use"}
    assert set(found.perhaps_uses) == {"last"}


@pytest.mark.parametrize(
    ("source", "mutates"),
    [
        ("a.append(1)", {"a": "grow"}),
        ("a.b.c.extend(x)", {"a": "grow"}),
        ("a['x'] = 1", {"a": "item"}),
        ("a.x = 1", {"a": "attribute"}),
        ("a['x']['y'] += 1", {"a": "augmented"}),
        ("a += 1", {"a": "augmented"}),
        ("del a['x']", {"a": "item"}),
        ("a.dropna(inplace=True)", {"a": "inplace"}),
        ("a.dropna(inplace=False)", {}),
        ("a.fit(x)", {"a": "fit"}),
        ("a.sort()", {"a": "reorder"}),
        ("random.shuffle(a)", {"a": "reorder"}),
        ("setattr(a, 'x', 1)", {"a": "attribute"}),
        ("heapq.heappush(a, 1)", {"a": "grow"}),
        ("a.add_(b)", {"a": "inplace"}),
        ("a = []\na.append(1)", {}),
        ("a += 1\na.append(2)", {"a": "augmented"}),
        ("b = a\nb.append(1)", {"a": "grow"}),
        ("c = a.append(1)", {}),
        ("a.append(1).plot()", {}),
        ("[a.append(i) for i in x]", {"a": "grow"}),
        ("[i.append(1) for i in x]", {}),
        ("for k in x: a[k] = 1", {"a": "item"}),
        ("def f(): a.append(1)", {}),
    ],
)
def test_what_a_cell_changes(source: str, mutates: dict[str, str]) -> None:
    assert {name: how.how for name, how in cell(source).mutates.items()} == mutates


def test_what_functions_read_is_told_apart_and_by_function() -> None:
    found = cell(
        "def f(x):\n    y = x + a\n    def g(): return y + b\n    return g\nclass C:\n    def m(self): return c\n"
    )
    assert set(found.functions["f"].reads) == {"a", "b"}
    assert set(found.classes["C"].reads) == {"c"}
    assert set(found.reads_in_functions) == {"a", "b", "c"}
    assert not found.uses


def test_globals_and_parameters_that_functions_change_are_told() -> None:
    found = cell(
        "def f(x, y):\n    global n\n    n = 1\n    x.append(y)\n    log.append(1)\n    z = []\n    z.append(2)"
    )
    made = found.functions["f"]
    assert set(made.defines) == {"n"}
    assert made.changes_parameters == {"x"}
    assert set(made.mutates) == {"log"}


def test_nonlocal_names_stay_inside() -> None:
    found = cell("def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    return g")
    assert not found.functions["f"].reads
    assert not found.functions["f"].defines


def test_edges_go_from_the_last_maker_and_from_changers() -> None:
    flow = join("a = []", "a.append(1)", "b = a", "a = 2", "c = a")
    assert edges(flow) == {
        (0, 1, "a", "defines"),
        (0, 2, "a", "defines"),
        (1, 2, "a", "mutates"),
        (3, 4, "a", "defines"),
    }
    assert flow.upstream(2) == {0, 1}
    assert flow.downstream(0) == {1, 2}


def test_a_conditional_maker_does_not_hide_the_one_before() -> None:
    flow = join("a = 1", "if x():\n    a = 2", "a")
    assert {(0, 2, "a", "defines"), (1, 2, "a", "defines")} <= edges(flow)


def test_a_call_needs_what_the_function_reads_when_it_is_called() -> None:
    flow = join("def f(): return k", "k = 1", "f()", "k = 2", "f()")
    assert (1, 2, "k", "defines") in edges(flow)
    assert (3, 4, "k", "defines") in edges(flow)
    assert nowhere(flow) == []
    early = join("def f(): return k", "f()", "k = 1")
    assert [(u.cell, u.name, u.later, u.called) for u in early.unresolved] == [(0, "k", 2, 1)]


def test_functions_are_seen_through_functions() -> None:
    flow = join("def f(): return g()", "def g(): return k", "k = 1", "f()")
    assert (2, 3, "k", "defines") in edges(flow)
    assert nowhere(flow) == []


def test_a_function_that_changes_its_argument_changes_what_it_is_given() -> None:
    flow = join("def f(d):\n    d['x'] = 1", "df = {}", "f(df)", "df")
    assert (2, 3, "df", "mutates") in edges(flow)
    assert set(flow.changes[2]) == {"df"}


def test_a_function_that_nobody_calls_needs_its_names_somewhere() -> None:
    assert nowhere(join("def f(): return k", "k = 1")) == []
    assert nowhere(join("def f(): return k")) == [(0, "k")]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is Python 3.12's")
def test_type_parameters_are_no_names_from_nowhere() -> None:
    flow = join(
        "def f[T: int](x: T) -> T:\n    y: list[T] = [x]\n    return y",
        "class C[S](list[S]):\n    def m(self) -> S: return S",
        "type A[U] = list[U | V]",
    )
    assert nowhere(flow) == [(2, "V")]
    assert set(flow.cells[2].defines) == {"A"}


def test_names_from_nowhere_from_below_and_deleted() -> None:
    flow = join("a = b", "b = 1", "del b", "b")
    assert [(u.cell, u.name, u.later, u.deleted) for u in flow.unresolved] == [(0, "b", 1, None), (3, "b", None, 2)]


@pytest.mark.parametrize("hider", ["from m import *", "%run other.py", "exec(code)", "globals()['x'] = 1", "%pylab"])
def test_where_names_may_come_from_anywhere_nothing_is_said(hider: str) -> None:
    flow = join(f"code = ''\n{hider}", "unknown")
    assert flow.opaque
    assert nowhere(flow) == []


def test_a_cell_that_is_no_python_is_told_and_blames_no_other() -> None:
    flow = join("a = = 1", "a")
    assert flow.cells[0].error is not None
    assert flow.cells[0].error.line == 1
    assert nowhere(flow) == []


def test_what_notebooks_are_given_is_no_name_from_nowhere() -> None:
    assert nowhere(join("display(In, Out, _, __name__)", "get_ipython()", "print(list(range(3)))")) == []


def test_a_builtin_that_a_cell_above_makes_is_an_edge() -> None:
    assert edges(join("sum = 1", "sum + 1")) == {(0, 1, "sum", "defines")}
    assert edges(join("sum([1])", "sum = 1")) == set()


def test_two_names_of_one_object_are_told_when_one_is_changed() -> None:
    flow = join("a = []\nb = a", "b.append(1)", "a")
    assert (1, 2, "a", "mutates") in edges(flow)
    assert [(s.cell, s.name, s.other) for s in flow.shared] == [(1, "b", "a")]
    assert join("a = []\nb = a.copy()", "b.append(1)", "a").shared == ()
    assert join("a = []\nb = a\nb = []", "b.append(1)", "a").shared == ()


def test_names_are_told_in_full_through_imports() -> None:
    flow = join("import pandas as pd, numpy.random\nfrom sklearn import svm as s\nfrom a.b import c")
    assert flow.canonical("pd.read_csv") == "pandas.read_csv"
    assert flow.canonical("numpy.random.seed") == "numpy.random.seed"
    assert flow.canonical("s.SVC") == "sklearn.svm.SVC"
    assert flow.canonical("c") == "a.b.c"
    assert flow.canonical("other.x") == "other.x"


def test_marimo_cells_may_stand_in_any_order() -> None:
    flow = join("b = a", "a = 1", "_x = 1", "_x = 2\nunknown", reactive=True)
    assert edges(flow) == {(1, 0, "a", "defines")}
    assert nowhere(flow) == [(3, "unknown")]


def test_cells_in_a_circle_end() -> None:
    flow = join("a = b", "b = a", reactive=True)
    assert flow.upstream(0) == {1}
    assert flow.downstream(0) == {1}


def test_code_nested_beyond_reason_is_an_error_of_that_cell_only() -> None:
    flow = join(
        "x = " + "(" * 400 + "1" + ")" * 400, "y = " + "-" * 30_000 + "1", "z = " + "+".join(["a"] * 20_000), "w = 1"
    )
    assert flow.cells[3].error is None


NAMES = st.sampled_from("abcde")
EXPRESSIONS = st.recursive(
    NAMES | st.just("1"),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: f"({p[0]} + {p[1]})"),
        st.tuples(NAMES, inner).map(lambda p: f"[{p[0]} for {p[0]} in [{p[1]}]]"),
        st.tuples(NAMES, inner).map(lambda p: f"(lambda {p[0]}: {p[1]})(1)"),
    ),
    max_leaves=4,
)
STATEMENTS = st.one_of(
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"{p[0]} = {p[1]}"),
    st.tuples(st.sampled_from("fgh"), NAMES, EXPRESSIONS).map(lambda p: f"def {p[0]}({p[1]}): return {p[2]}"),
    st.tuples(NAMES, NAMES, EXPRESSIONS).map(lambda p: f"{p[0]}, {p[1]} = 1, [{p[2]}]"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"for {p[0]} in [1]: [{p[1]}]"),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STATEMENTS, min_size=1, max_size=4, unique_by=lambda s: s[:5] if s.startswith("def") else s))
def test_reads_and_bindings_are_those_of_pythons_own_symbol_table(statements: list[str]) -> None:
    import symtable

    source = "\n".join(statements)
    found = cell(source)
    table = symtable.symtable(source, "<cell>", "exec")
    assigned = {s.get_name() for s in table.get_symbols() if s.is_assigned()}
    assert set(found.defines) == assigned
    read: set[str] = set()

    def gather(scope: symtable.SymbolTable) -> None:
        for symbol in scope.get_symbols():
            if symbol.is_referenced() and (scope is table or symbol.is_global()):
                read.add(symbol.get_name())
        for child in scope.get_children():
            gather(child)

    gather(table)
    functions = {name for f in found.functions.values() for name in f.reads}
    seen = set(found.touched) | functions | set(found.functions)
    assert read - assigned <= seen | set(dir(__builtins__))
    assert set(found.uses) <= read


@settings(max_examples=150, deadline=None)
@given(st.lists(STATEMENTS, min_size=1, max_size=5))
def test_what_is_called_undefined_raises_name_error_and_nothing_else_does(statements: list[str]) -> None:
    """Cells of straight code, run for real: the first name from nowhere is where Python stops."""
    cells = [s for s in statements if "lambda" not in s and "def" not in s and "for" not in s]
    flow = join(*cells)
    values: dict[str, object] = {}
    stopped: tuple[int, str] | tuple[()] = ()
    for place, source in enumerate(cells):
        try:
            exec(compile(ast.parse(source), "<cell>", "exec"), values)
        except NameError as problem:
            stopped = (place, problem.name)
            break
        except TypeError:
            return
    assert nowhere(flow)[:1] == [stopped] if stopped else nowhere(flow) == []
