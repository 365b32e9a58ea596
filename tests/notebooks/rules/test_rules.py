"""Each rule: notebooks that it finds fault with, where, and their like that it leaves alone."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadworthy.notebooks.rules.catalogue import chosen, every
from roadworthy.notebooks.rules.subject import Surroundings
from roadworthy.nouns.errors import Fault
from tests.notebooks.making import code, findings, places

SPLIT = "from sklearn.model_selection import train_test_split\n"
SCALER = "from sklearn.preprocessing import StandardScaler\nscaler = StandardScaler()\n"
FRAME = "import pandas as pd\ndf = pd.read_csv('a.csv')\n"
SKLEARN = "from sklearn.linear_model import LogisticRegression\nmodel = LogisticRegression()\n"


def out(text: str, media: str = "") -> dict[str, Any]:
    if not media:
        return {"output_type": "stream", "name": "stdout", "text": text}
    return {"output_type": "display_data", "data": {media: text}, "metadata": {}}


ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}

# code: (cells, places found)
FOUND: list[tuple[str, list[Any], list[tuple[int, int]]]] = [
    ("RWN101", ["x = 1", "y = = 2"], [(1, 1)]),
    ("RWN102", [code("a = 1", count=2), code("b = 1", count=1)], [(1, 1)]),
    ("RWN103", [code("a = 1", count=1), code("b = 1"), code("c = 1")], [(1, 1)]),
    ("RWN104", ["a = 1\nb = c"], [(0, 2)]),
    ("RWN104", ["def f():\n    return c", "f()"], [(0, 2)]),
    ("RWN104", ["try:\n    a = 1\n    b = c.x(a)\nexcept:\n    pass"], [(0, 3)]),
    ("RWN105", ["b = a", "a = 1"], [(0, 1)]),
    ("RWN106", ["a = 1", "del a", "print(a)"], [(2, 1)]),
    ("RWN107", [code("f()", count=1, outputs=[ERROR])], [(0, 1)]),
    ("RWN108", ["df = 1", "print(df)", "df = 2", "print(df)"], [(2, 1)]),
    ("RWN109", ["df = load()", "df = df.drop(columns='a')"], [(1, 1)]),
    ("RWN109", ["x = 1", "x += 1"], [(1, 1)]),
    ("RWN109", ["x = 1", "x = x * 2"], [(1, 1)]),
    ("RWN109", ["xs = []", "xs.append(1)"], [(1, 1)]),
    ("RWN109", ["df = load()", "df['a'] *= 2"], [(1, 1)]),
    ("RWN109", ["df = load()", "df.drop('a', axis=1, inplace=True)"], [(1, 1)]),
    ("RWN109", ["df = load()", "df = df.reset_index()"], [(1, 1)]),
    ("RWN109", ["df = load()", "df = df[1:]"], [(1, 1)]),
    ("RWN109", ["import pandas as pd\ndf = load()", "df = pd.concat([df, more()])"], [(1, 1)]),
    ("RWN110", ["raw = load()\nclean = raw", "clean['x'] = 1", "raw"], [(1, 1)]),
    ("RWN111", ["a = 1", "limit = 3", "print(a)"], [(1, 1)]),
    ("RWN112", ["a = 1", "", "a"], [(1, 1)]),
    ("RWN112", ["a = 1", "# b = a.fit(x)\n# b.score(y)", "a"], [(1, 1)]),
    ("RWN113", ["name = input('who? ')"], [(0, 1)]),
    ("RWN113", ["from getpass import getpass\ngetpass()"], [(0, 2)]),
    ("RWN202", ["import os\nimport sys", "print(sys.argv)"], [(0, 1)]),
    ("RWN202", ["from a import b, c as d", "b"], [(0, 1)]),
    ("RWN203", ["import os", "x = os.listdir()", "import sys\nprint(x, sys)"], [(2, 1)]),
    ("RWN203", ["import os", "x = os.listdir().copy()[0]", "import sys\nprint(x, sys)"], [(2, 1)]),
    ("RWN204", ["%pip install pandas", "!pip install -q pandas", "!conda install -y x"], [(0, 1), (1, 1), (2, 1)]),
    ("RWN204", ["%%bash\nset -e\npip install x"], [(0, 3)]),
    ("RWN204", ["import os\nos.system('pip install x')"], [(0, 2)]),
    ("RWN204", ["import sys, subprocess\nsubprocess.run([sys.executable, '-m', 'pip', 'install', 'x'])"], [(0, 2)]),
    ("RWN205", ["from os.path import *"], [(0, 1)]),
    ("RWN206", ["import os", "import os\nprint(os)"], [(1, 1)]),
    (
        "RWN207",
        ["%run other.py", "!mkdir out", "%%writefile a.py\nx = 1", "%store x"],
        [(0, 1), (1, 1), (2, 1), (3, 1)],
    ),
    ("RWN208", ["x = 1\nx?"], [(0, 2)]),
    ("RWN209", ["table = dbutils.widgets.get('t')"], [(0, 1)]),
    (
        "RWN301",
        ["open('/home/ann/a.csv')", "p = 'C:\\\\Users\\\\ann\\\\a.csv'", "q = '~/data/a.csv'"],
        [(0, 1), (1, 1), (2, 1)],
    ),
    ("RWN301", ["!ls /mnt/data/x"], [(0, 1)]),
    ("RWN302", ["import pandas as pd\npd.read_csv('https://x.org/a.csv')"], [(0, 2)]),
    ("RWN302", ["URL = 'https://x.org/'", "import pandas as pd\npd.read_csv(URL + 'a.csv')"], [(1, 2)]),
    ("RWN302", ["import requests\nrequests.get(url)", "!wget https://x.org/a.zip"], [(0, 2), (1, 1)]),
    ("RWN302", ["from sklearn.datasets import fetch_openml as f\nf('mnist')"], [(0, 2)]),
    ("RWN303", ["import pandas as pd\npd.read_csv('a.csv')", "open('notes.txt').read()"], [(0, 2), (1, 1)]),
    ("RWN304", ["import os\nos.chdir('..')", "%cd ..", "import sys\nsys.path.append('..')"], [(0, 2), (1, 1), (2, 2)]),
    ("RWN401", ["password = 'k7Hq2!pzL0w'", 'api_key = "9f8a7b6c5d4e3f2a1b0c"'], [(0, 1), (1, 1)]),
    ("RWN401", ["key = 'AKIA" + "QYLPMN5HHHFPZAM2'"], [(0, 1)]),
    ("RWN401", ["con = connect('postgresql://ann:k7Hq2pzL0w@db.internal/x')"], [(0, 1)]),
    (
        "RWN402",
        [code("print(token)", count=1, outputs=[out("ghp_" + "a8Kd72HsLq0ZxCv5BnM1pRt9WyUe3IoGjF6h\n")])],
        [(0, 1)],
    ),
    ("RWN403", [code("df", count=1, outputs=[out("ada.lovelace@analytical.uk\n")])], [(0, 1)]),
    (
        "RWN403",
        [code("df", count=1, outputs=[out("<table><th>last_name</th><td>Ada</td></table>", "text/html")])],
        [(0, 1)],
    ),
    ("RWN404", ["owner = 'ada.lovelace@analytical.uk'", "iban = 'DE89370400440532013000'"], [(0, 1), (1, 1)]),
    ("RWN501", ["import numpy as np\nx = np.random.rand(3)"], [(0, 2)]),
    ("RWN501", ["import numpy as np\nrng = np.random.default_rng()"], [(0, 2)]),
    ("RWN501", [SPLIT + "a, b = train_test_split(x)"], [(0, 2)]),
    ("RWN501", ["from sklearn.ensemble import RandomForestClassifier as R\nR(random_state=None)"], [(0, 2)]),
    ("RWN501", ["df.sample(10)", "df.sample(frac=0.1)"], [(0, 1), (1, 1)]),
    ("RWN501", ["from random import shuffle\nshuffle(x)"], [(0, 2)]),
    ("RWN501", ["import torch\ntorch.randn(3)"], [(0, 2)]),
    ("RWN502", [SPLIT + SCALER, "X = scaler.fit_transform(X)", "a, b = train_test_split(X)"], [(1, 1)]),
    (
        "RWN502",
        [SPLIT + SCALER, "scaler.fit(X)\nZ = scaler.transform(X)", "a, b, c, d = train_test_split(Z, y)"],
        [(1, 1)],
    ),
    (
        "RWN502",
        [SPLIT + SCALER, "df[cols] = scaler.fit_transform(df[cols])\nX = df[cols]", "a, b = train_test_split(X)"],
        [(1, 1)],
    ),
    (
        "RWN502",
        [
            "from imblearn.over_sampling import SMOTE\n" + SPLIT,
            "Xr, yr = SMOTE().fit_resample(X, y)",
            "a, b, c, d = train_test_split(Xr, yr)",
        ],
        [(1, 1)],
    ),
    (
        "RWN502",
        [
            "from sklearn.model_selection import cross_val_score\n" + SCALER,
            "X = scaler.fit_transform(X)",
            "cross_val_score(m, X, y)",
        ],
        [(1, 1)],
    ),
    ("RWN503", [FRAME + SKLEARN, "model.fit(df, df['y'])"], [(1, 1)]),
    ("RWN503", [FRAME + SKLEARN, "X = df.drop(columns=['id'])\ny = df.y\nmodel.fit(X, y)"], [(1, 3)]),
    ("RWN503", [FRAME + SKLEARN, "T = 'y'\nX = df[['a', T]]\ny = df[T]\nmodel.fit(X.values, y.values)"], [(1, 4)]),
    ("RWN503", [FRAME + SKLEARN + SPLIT, "a, b, c, d = train_test_split(df, df['y'])\nmodel.fit(a, c)"], [(1, 2)]),
    (
        "RWN504",
        [FRAME + SPLIT + SKLEARN, "df['lag'] = df['y'].shift(1)\nX = df[['lag']]", "a, b = train_test_split(X)"],
        [(2, 1)],
    ),
    ("RWN504", [FRAME + SPLIT, "df = df.sort_values('date')", "a, b = train_test_split(df)"], [(2, 1)]),
    ("RWN505", [SPLIT + SCALER, "a, b = train_test_split(X)\nscaler.fit_transform(b)"], [(1, 2)]),
    ("RWN505", [SCALER, "X_test = scaler.fit_transform(X_test)"], [(1, 1)]),
    ("RWN601", [code("x", count=1, outputs=[out("x" * 1_100_000)])], [(0, 1)]),
    ("RWN602", ["def f(x):\n    a = x\n    b = a\n    c = b\n    return c", "f(1)"], [(0, 1)]),
]

LEFT_ALONE: list[tuple[str, list[Any]]] = [
    ("RWN101", ["%matplotlib inline\nx = 1", "!ls", "x?"]),
    ("RWN101", [code("y = = 2", tags=["raises-exception"])]),
    ("RWN102", [code("a = 1", count=1), code("b = 1", count=5), code("", count=2)]),
    ("RWN103", ["a = 1", "b = 1"]),
    ("RWN103", [code("a = 1", count=1), code("# note")]),
    ("RWN104", ["from os import *\nb = c"]),
    ("RWN104", ["%run setup.py\nb = c"]),
    ("RWN104", ["try:\n    input = raw_input\nexcept:\n    pass"]),
    ("RWN104", ["try:\n    text(unicode)\n    display(text)\nexcept (NameError, ImportError):\n    pass", "def text(x): pass"]),
    ("RWN104", [code("b = c", tags=["raises-exception"])]),
    ("RWN104", ["if x():\n    a = 1\nprint(a)", "def x(): return 1"]),
    ("RWN105", ["def f(): return a", "a = 1", "f()"]),
    ("RWN106", ["a = 1", "del a", "a = 2", "print(a)"]),
    ("RWN107", [code("f()", count=1, outputs=[ERROR], tags=["raises-exception"])]),
    ("RWN108", ["df = 1", "df = 2", "print(df)"]),
    ("RWN108", ["for i in x: print(i)", "for i in y: print(i)"]),
    ("RWN109", ["df = load()", "df = df.dropna()", "df = df.rename(columns={})", "df['b'] = df['a']", "df = df[df.a > 1]"]),
    ("RWN109", ["xs = []\nxs.append(1)\nx = 0\nx += 1\ndf = load()\ndf = df.drop('a')"]),
    ("RWN109", ["res = fit()", "res2 = res.append(data)", "s = ''", "s = s.join(['a'])", "df = load()", "df = df.drop('a', errors='ignore')"]),
    ("RWN109", ["d = {}", "d.update(a=1)", "model = M()", "model.fit(x)", "s = set()", "s |= {1}", "xs = [2, 1]", "xs.sort()"]),
    ("RWN110", ["raw = load()\nclean = raw.copy()", "clean['x'] = 1", "raw"]),
    ("RWN110", ["raw = load()\nclean = raw", "clean['x'] = 1", "clean"]),
    ("RWN111", ["limit = 3", "print(limit)"]),
    ("RWN111", [code("alpha = 0.1", tags=["parameters"]), "print(1)"]),
    ("RWN111", ["model = fit()", "print(1)"]),
    ("RWN111", ["def f(): return limit", "limit = 3", "f()"]),
    ("RWN112", ["# A heading in prose, as people write it", "a = 1", "# TODO", ""]),
    ("RWN113", ["def input(x): return x\ninput(1)"]),
    ("RWN202", ["import os", "def f(): return os.getcwd()"]),
    ("RWN202", ["import numpy as np", "%timeit np.ones(3)"]),
    ("RWN202", ["import numpy as np", "df.query('a > @np.pi')"]),
    ("RWN202", ["try:\n    import a\nexcept ImportError:\n    pass"]),
    ("RWN202", ["from mpl_toolkits.mplot3d import Axes3D\nfrom __future__ import annotations\nimport dowhy.api"]),
    ("RWN203", ["import logging\nlogger = logging.getLogger('x')", "import os\nlogger.info(os.name)"]),
    ("RWN203", ["import os\nX = 1", "import sys\ndef f(): import re\nos, sys", "x = f()"]),
    ("RWN204", ["!ls", "!pip list", "x = 'pip install y'", "# !pip install x"]),
    ("RWN206", ["import os", "os = 1", "import os\nos"]),
    ("RWN206", ["import a as x", "import b as x\nx"]),
    ("RWN207", ["%matplotlib inline\n%load_ext autoreload\n%autoreload 2", "%%time\nx = 1", "!ls\n!pip install y"]),
    ("RWN209", ["class D: pass\ndbutils = D()\ndbutils.widgets.get('x')"]),
    ("RWN301", ["x = 'a/b.csv'", "y = '/api/v1/users'", "z = 'https://x.org/home/a.csv'", "w = '/'", "v = 'km/h'", "u = '1/2'"]),
    ("RWN302", ["import pandas as pd\npd.read_csv('a.csv')", "print('https://x.org')", "d.get('x')"]),
    ("RWN303", ["import pandas as pd\npd.DataFrame().to_csv('a.csv')", "pd.read_csv('a.csv')", "open('b.txt', 'w')", "pd.read_csv(path)"]),
    ("RWN401", ["password = os.environ['PASSWORD']", "token = 'your-token-here'", "password = ''", "secret = 'my_secret'", "api_key = None"]),
    ("RWN401", ["tokenizer = 'bert-base-uncased'", "max_tokens = 100", "passwords = load()", "x = {'token': token}"]),
    ("RWN402", [code("x", count=1, outputs=[out("tokens: 100, password: ")])]),
    ("RWN403", [code("x", count=1, outputs=[out("someone@example.com 1234-5678 3.14159265358979 2013-01-01 12:00:00")])]),
    ("RWN403", [code("x", count=1, outputs=[out("<table><th>name</th><th>petal_width</th><td>1</td></table>", "text/html")])]),
    ("RWN404", ["x = 'git@github.com:a/b.git'", "y = 'info@company.org'", "z = '4111 1111 1111 1112'", "df.query('a @b.c')"]),
    ("RWN501", ["import numpy as np\nnp.random.seed(1)\nx = np.random.rand(3)", SPLIT + "a, b = train_test_split(x)"]),
    ("RWN501", ["import numpy as np\nrng = np.random.default_rng(1)\nrng.normal()", SPLIT + "a = train_test_split(x, random_state=1)"]),
    ("RWN501", [SPLIT + "a, b = train_test_split(x, shuffle=False)", "from sklearn.model_selection import KFold\nKFold(5)"]),
    ("RWN501", ["from random import random, seed\nseed(1)\nrandom()", "trace.sample(1000)", "pm.sample(10)"]),
    ("RWN502", [SPLIT + SCALER, "a, b = train_test_split(X)", "a = scaler.fit_transform(a)\nb = scaler.transform(b)"]),
    ("RWN502", [SPLIT + SCALER, "Z = scaler.fit_transform(X)", "a, b = train_test_split(X)"]),
    ("RWN502", [SPLIT, "from sklearn.preprocessing import LabelEncoder\ny = LabelEncoder().fit_transform(y)", "a, b = train_test_split(X, y)"]),
    ("RWN503", [FRAME + SKLEARN, "X = df.drop('y', axis=1)\ny = df['y']\nmodel.fit(X, y)"]),
    ("RWN503", [FRAME + SKLEARN, "y = df.pop('y')\nmodel.fit(df, y)"]),
    ("RWN503", [FRAME + SKLEARN, "y = df['y']\ndel df['y']\nmodel.fit(df, y)"]),
    ("RWN503", [FRAME + SKLEARN, "X = df.iloc[:, :-1]\ny = df['y']\nmodel.fit(X, y)", "model.fit(df[features], df['y'])"]),
    ("RWN503", [FRAME + SKLEARN, "other = pd.read_csv('b.csv')\nmodel.fit(other, df['y'])"]),
    ("RWN504", [FRAME + SPLIT, "df = df.sort_values('date')", "a, b = train_test_split(df, shuffle=False)"]),
    ("RWN504", [FRAME + SPLIT, "df = df.sort_values('price')", "a, b = train_test_split(df)"]),
    ("RWN505", [SPLIT + SCALER, "a, b = train_test_split(X)\nscaler.fit(a)\nscaler.transform(b)"]),
    ("RWN601", [code("x", count=1, outputs=[out("x" * 900_000)])]),
    ("RWN602", ["def f(x):\n    a = x\n    b = a\n    c = b\n    return c", "assert f(1) == 1"]),
    ("RWN602", ["def f(x):\n    '''\n    >>> f(1)\n    1\n    '''\n    a = x\n    b = a\n    c = b\n    return c", "f(1)"]),
    ("RWN602", ["def f(x):\n    return x", "f(1)"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "cells", "where"), FOUND, ids=[f"{r}-{n}" for n, (r, _, _) in enumerate(FOUND)])
def test_a_rule_finds(tmp_path: Path, rule: str, cells: list[Any], where: list[tuple[int, int]]) -> None:
    found = findings(tmp_path, *cells, select=rule)
    assert places(found) == where
    for finding in found:
        assert finding.message
        assert finding.fix
        assert finding.column >= 1
        assert (finding.end_line, finding.end_column) >= (finding.line, 1)


@pytest.mark.parametrize(("rule", "cells"), LEFT_ALONE, ids=[f"{r}-{n}" for n, (r, _) in enumerate(LEFT_ALONE)])
def test_a_rule_leaves_alone(tmp_path: Path, rule: str, cells: list[Any]) -> None:
    assert places(findings(tmp_path, *cells, select=rule)) == []


def test_every_rule_is_tried_both_ways() -> None:
    codes = {rule.code for rule in every()}
    apart = {"RWN100", "RWN114", "RWN201", "RWN205", "RWN208", "RWN304"}  # below, or found wherever they stand
    assert codes - {rule for rule, _, _ in FOUND} <= apart
    assert codes - {rule for rule, _ in LEFT_ALONE} <= apart


def test_a_notebook_in_another_language_is_told_once(tmp_path: Path) -> None:
    kernel = {"name": "ir", "language": "R"}
    found = findings(tmp_path, "x <- 1", "y <- x", kernelspec=kernel)
    assert [f.code for f in found] == ["RWN100"]


def test_syntax_of_a_newer_python_is_told_as_such(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, "x = = 1", select="RWN101", language_info={"name": "python", "version": "3.99.1"})
    assert "the kernel's is 3.99.1" in found.message


def test_a_secret_or_a_person_is_never_shown(tmp_path: Path) -> None:
    key = "AKIA" + "QYLPMN5HHHFPZAM2"
    found = findings(tmp_path, f"key = '{key}'", "to = 'ada.lovelace@analytical.uk'", select="RWN4")
    assert len(found) == 2
    for finding in found:
        assert key not in repr(finding)
        assert "lovelace" not in repr(finding)


def test_imports_are_held_against_the_lock(tmp_path: Path) -> None:
    (tmp_path / "beside.py").touch()
    around = Surroundings(locked=frozenset({"pandas", "scikit-learn", "python-dateutil"}), lock="uv.lock")
    source = (
        "import os\nimport pandas\nimport sklearn.svm\nimport dateutil\nimport beside\nimport PIL.Image\nfrom . import x\n"
        "import google.cloud.storage\ntry:\n    import torch\nexcept ImportError: pass"
    )
    found = findings(tmp_path, source, select="RWN201", around=around)
    assert [(f.line, f.fix.split()[1]) for f in found] == [(6, "pillow"), (8, "google-cloud-storage")]


def test_files_that_the_project_names_are_data_sets(tmp_path: Path) -> None:
    around = Surroundings(root=tmp_path, data=("data/*.csv", "photos/"))
    source = "import pandas as pd\npd.read_csv('data/a.csv')\npd.read_csv('other.csv')\nopen('photos/x/1.png')"
    found = findings(tmp_path, source, select="RWN303", around=around)
    assert [(f.line, "no data set of the project" in f.message) for f in found] == [(3, True)]


def test_marimo_refuses_a_name_made_twice_and_circles(tmp_path: Path) -> None:
    from roadworthy.notebooks.check import check
    from roadworthy.notebooks.read import read

    path = tmp_path / "x.py"
    cells = ["a = 1\n    b = c", "c = b", "a = 2\n    _t = 1", "_t = 2"]
    body = "".join(f"@app.cell\ndef _():\n    {cell}\n    return\n\n" for cell in cells)
    path.write_text(f"import marimo\napp = marimo.App()\n\n{body}")
    found = check(read(path), chosen(("RWN114",)), Surroundings())
    assert [(f.cell, f.message) for f in found] == [
        (0, "this cell and cell 2 wait for each other"),
        (2, "`a` is made in cell 1 too"),
    ]


EVERY_CELL = [cell for cells in ([c for _, c, _ in FOUND] + [c for _, c in LEFT_ALONE]) for cell in cells]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.sampled_from(EVERY_CELL), max_size=8), cut=st.integers(0, 60))
def test_any_mixture_of_cells_whole_or_cut_off_is_checked(tmp_path: Path, cells: list[Any], cut: int) -> None:
    mixed = [
        cell[: max(len(cell) - cut, 1)] if isinstance(cell, str) and n % 3 == 2 else cell
        for n, cell in enumerate(cells)
    ]
    found = findings(tmp_path, *mixed)
    lines = [(cell if isinstance(cell, str) else "".join(cell["source"])).split("\n") for cell in mixed]
    for finding in found:
        assert finding.cell < len(mixed)
        assert finding.line <= len(lines[finding.cell])
        assert finding.column <= len(lines[finding.cell][finding.line - 1]) + 1


def test_rules_are_chosen_by_code_beginning_and_name() -> None:
    assert {r.code for r in chosen(("RWN5",))} == {f"RWN50{n}" for n in range(1, 6)}
    assert [r.code for r in chosen(("late-import",))] == ["RWN203"]
    assert "RWN203" not in {r.code for r in chosen((), ("RWN203",))}
    with pytest.raises(Fault) as caught:
        chosen(("RWN999",))
    assert "no rule" in caught.value.what


def test_every_rule_teaches() -> None:
    from roadworthy.notebooks.lessons import lesson

    for rule in every():
        taught = lesson(rule)
        assert taught.title.endswith("."), rule.code
        assert len(taught.why) > 60, rule.code
        assert taught.fix, rule.code
