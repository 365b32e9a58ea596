import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.notebooks.dataflow.python import translate


@pytest.mark.parametrize(
    ("source", "python"),
    [
        ("%matplotlib inline", "pass"),
        ("x = 1\n%load_ext autoreload\ny = 2", "x = 1\npass\ny = 2"),
        ("files = !ls *.csv", "files = get_ipython().getoutput('ls *.csv')"),
        ("!pip install {pkg}", "get_ipython().system('pip install {pkg}'), pkg"),
        ("if x:\n    !ls", "if x:\n    get_ipython().system('ls')"),
        ("%time fit(x)", "fit(x)"),
        ("%timeit -n 10 -r 3 fit(x)", "fit(x)"),
        ("t = %timeit -o fit(x)", "t = fit(x)"),
        ("%%time\nx = 1", "pass\nx = 1"),
        ("%%capture out\nx = 1", "out = None\nx = 1"),
        ("%%bash\nls\ncd", "pass\n\n"),
        ("%%bash --out listing\nls", "listing = None\n"),
        ("%%R -i df -o fit\nfit <- lm(y ~ x, df)", "df; fit = None\n"),
        ("df?", "pass"),
        ("?df.head", "pass"),
        ("df.head??", "pass"),
        ("%store -r a b", "a = None; b = None"),
        ("%pylab inline", "from pylab import *"),
        ("!ls \\\n  -la\nx = 1", "get_ipython().system('ls  -la')\n\nx = 1"),
        ("pip install pandas", "pass"),
        ("cd ~/data", "pass"),
        ("%%time\n%matplotlib inline\nx = 1", "pass\npass\nx = 1"),
        ("# only a comment\n%%time\nx = 1", "# only a comment\npass\nx = 1"),
        ("%%writefile a.py\nx = 1", "pass\n"),
        ("%%some_extension\nx = 1", "pass\nx = 1"),
        ("%%some_language\nSELECT * FROM x", "pass\n"),
    ],
)
def test_magics_become_python_line_for_line(source: str, python: str) -> None:
    made = translate(source)
    assert made.python == python
    assert made.python.count("\n") == source.count("\n")
    ast.parse(made.python)


@pytest.mark.parametrize(
    "source",
    [
        "x = 5 % 3",
        "x = (1\n    % 2)",
        "s = '''\n%matplotlib inline\n!ls\nwhy?\n'''",
        "print('done!')",
        "x = [\n    1,\n]  # what?",
        "ok = a != b",
        "ls = 1\nls",
        "cd = 2\ncat = cd",
        "x = 1 \\\n    % 2",
        "f(a)['%d' % 3] = 1",
        "text = 'why?'",
        "# really?\nx = 1",
    ],
)
def test_python_stays_as_it_is(source: str) -> None:
    made = translate(source)
    assert made.python == source
    assert made.magics == ()


def test_magics_are_told_with_their_lines_and_what_they_make() -> None:
    made = translate("import os\n%run other.py\nx = !ls\n%cd /data\ny?")
    assert [(m.line, m.kind, m.name, m.binds, m.opaque) for m in made.magics] == [
        (2, "line", "run", (), True),
        (3, "shell", "ls", ("x",), False),
        (4, "line", "cd", (), False),
        (5, "help", "y", (), False),
    ]


def test_a_shell_line_that_sets_variables_or_uses_sudo_is_known_by_its_program() -> None:
    assert [m.name for m in translate("!A=1 sudo apt-get update\n!ls").magics] == ["apt-get", "ls"]


LINES = st.sampled_from(
    [
        "x = 1",
        "%time x",
        "%%time",
        "!ls {x}",
        "y = !ls",
        "'''",
        '"""',
        "(",
        ")",
        "if x:",
        "    !ls",
        "x?",
        "%%bash",
        "\\",
        "",
        "# c",
        "z = %sql 1",
        "é = 'ü'",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINES, max_size=8))
def test_any_lines_come_back_as_many(lines: list[str]) -> None:
    source = "\n".join(lines)
    assert translate(source).python.count("\n") == source.count("\n")
