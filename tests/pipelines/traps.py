"""Edits that must never leave an old result standing: each with the value before and after."""

from dataclasses import dataclass, field

HEAD = "import roadworthy as rw\n"


@dataclass(frozen=True)
class Trap:
    """A project of which the step `out` returns `before`, and `after` once `edit` is made."""

    name: str
    files: dict[str, str]
    edit: tuple[str, str, str]  # file, old, new
    before: object
    after: object
    environment: dict[str, str] = field(default_factory=dict)
    # steps of the pipeline that must keep their key
    unaffected: tuple[str, ...] = ("apart",)

    def project(self) -> dict[str, str]:
        files = dict(self.files)
        future, rest = "", files["pipeline.py"]
        if rest.startswith("from __future__"):
            future, _, rest = rest.partition("\n")
            future += "\n"
        files["pipeline.py"] = future + HEAD + rest + APART
        files.setdefault("roadworthy.toml", '[project]\nname = "trap"\n')
        return files

    def edited(self) -> dict[str, str]:
        file, old, new = self.edit
        files = self.project()
        assert old in files[file], (self.name, old)
        files[file] = files[file].replace(old, new)
        return files


APART = """

@rw.step
def apart() -> int:
    return 99
"""


TRAPS = [
    Trap(
        "own code",
        {"pipeline.py": "@rw.step\ndef out():\n    return 1\n"},
        ("pipeline.py", "return 1\n", "return 2\n"), 1, 2,
    ),
    Trap(
        "helper in another module",
        {
            "pipeline.py": "from features import clean\n@rw.step\ndef out():\n    return clean(1)\n",
            "features.py": "def clean(x):\n    return x + 1\n",
        },
        ("features.py", "x + 1", "x + 2"), 2, 3,
    ),
    Trap(
        "helper of a helper, module.attribute",
        {
            "pipeline.py": "import features\n@rw.step\ndef out():\n    return features.clean(1)\n",
            "features.py": "from deep.er import add\ndef clean(x):\n    return add(x)\n",
            "deep/__init__.py": "",
            "deep/er.py": "def add(x):\n    return x + 1\n",
        },
        ("deep/er.py", "x + 1", "x + 2"), 2, 3,
    ),
    Trap(
        "nested function",
        {"pipeline.py": "def make():\n    def inner():\n        return K\n    return inner\nK = 1\n"
                        "@rw.step\ndef out():\n    return make()()\n"},
        ("pipeline.py", "K = 1", "K = 2"), 1, 2,
    ),
    Trap(
        "class method",
        {
            "pipeline.py": "from shapes import Square\n@rw.step\ndef out():\n    return Square(2).area()\n",
            "shapes.py": "class Square:\n    def __init__(self, side):\n        self.side = side\n"
                         "    def area(self):\n        return self.side * 2\n",
        },
        ("shapes.py", "self.side * 2", "self.side * 3"), 4, 6,
    ),
    Trap(
        "inherited method",
        {
            "pipeline.py": "from child import Child\n@rw.step\ndef out():\n    return Child().say()\n",
            "child.py": "import base\nclass Child(base.Base):\n    pass\n",
            "base.py": "class Base:\n    def say(self):\n        return 1\n",
        },
        ("base.py", "return 1", "return 2"), 1, 2,
    ),
    Trap(
        "constant in another module",
        {
            "pipeline.py": "import settings\n@rw.step\ndef out():\n    return settings.RATE\n",
            "settings.py": "RATE = 1\nOTHER = 5\n",
        },
        ("settings.py", "RATE = 1", "RATE = 2"), 1, 2,
    ),
    Trap(
        "constant computed by code",
        {"pipeline.py": "def base():\n    return 1\nRATE = base() * 2\n@rw.step\ndef out():\n    return RATE\n"},
        ("pipeline.py", "return 1\n", "return 3\n"), 2, 6,
    ),
    Trap(
        "lambda in a dictionary",
        {"pipeline.py": "WAYS = {'a': lambda x: x + 1}\n@rw.step\ndef out():\n    return WAYS['a'](1)\n"},
        ("pipeline.py", "x + 1", "x + 5"), 2, 6,
    ),
    Trap(
        "function in a dictionary",
        {"pipeline.py": "def one():\n    return 1\nWAYS = {'a': one}\n@rw.step\ndef out():\n    return WAYS['a']()\n"},
        ("pipeline.py", "return 1\n", "return 7\n"), 1, 7,
    ),
    Trap(
        "decorator of a helper",
        {"pipeline.py": "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def g():\n        return f() * 2\n    return g\n"
                        "@twice\ndef one():\n    return 1\n@rw.step\ndef out():\n    return one()\n"},
        ("pipeline.py", "f() * 2", "f() * 3"), 2, 3,
    ),
    Trap(
        "a decorator exchanged",
        {"pipeline.py": "def same(f):\n    return f\ndef neg(f):\n    return lambda: -f()\n"
                        "@same\ndef one():\n    return 1\n@rw.step\ndef out():\n    return one()\n"},
        ("pipeline.py", "@same", "@neg"), 1, -1,
    ),
    Trap(
        "default argument",
        {"pipeline.py": "D = 1\ndef helper(x=D):\n    return x\n@rw.step\ndef out():\n    return helper()\n"},
        ("pipeline.py", "D = 1", "D = 2"), 1, 2,
    ),
    Trap(
        "default of the step itself",
        {"pipeline.py": "@rw.step\ndef out(depth: int = 1):\n    return depth\n"},
        ("pipeline.py", "depth: int = 1", "depth: int = 4"), 1, 4,
    ),
    Trap(
        "closure over a module's name",
        {"pipeline.py": "def outer():\n    y = LIMIT\n    return lambda: y\nLIMIT = 1\nf = outer()\n"
                        "@rw.step\ndef out():\n    return f()\n"},
        ("pipeline.py", "LIMIT = 1", "LIMIT = 2"), 1, 2,
    ),
    Trap(
        "partial",
        {"pipeline.py": "from functools import partial\nfrom h import add\nadd1 = partial(add, 1)\n"
                        "@rw.step\ndef out():\n    return add1(1)\n",
         "h.py": "def add(a, b):\n    return a + b\n"},
        ("h.py", "a + b", "a - b"), 2, 0,
    ),
    Trap(
        "import under another name",
        {"pipeline.py": "from h import one as f, two as g\n@rw.step\ndef out():\n    return [f(), g()]\n",
         "h.py": "def one():\n    return 1\ndef two():\n    return 2\n"},
        ("pipeline.py", "one as f, two as g", "one as g, two as f"), [1, 2], [2, 1],
    ),
    Trap(
        "star import",
        {"pipeline.py": "from h import *\n@rw.step\ndef out():\n    return one()\n",
         "h.py": "from h2 import *\n", "h2.py": "def one():\n    return 1\n"},
        ("h2.py", "return 1", "return 2"), 1, 2,
    ),
    Trap(
        "re-export by a package",
        {"pipeline.py": "from lib import one\n@rw.step\ndef out():\n    return one()\n",
         "lib/__init__.py": "from .impl import one\n", "lib/impl.py": "from . import consts\ndef one():\n    return consts.X\n",
         "lib/consts.py": "X = 1\n"},
        ("lib/consts.py", "X = 1", "X = 2"), 1, 2,
    ),
    Trap(
        "import inside a function",
        {"pipeline.py": "@rw.step\ndef out():\n    import h as k\n    from h import two\n    return k.one() + two()\n",
         "h.py": "def one():\n    return 1\ndef two():\n    return 2\n"},
        ("h.py", "return 2", "return 5"), 3, 6,
    ),
    Trap(
        "conditional import",
        {"pipeline.py": "try:\n    from missing_module_xyz import f\nexcept ImportError:\n    from h import f\n"
                        "@rw.step\ndef out():\n    return f()\n",
         "h.py": "def f():\n    return 1\n"},
        ("h.py", "return 1", "return 2"), 1, 2,
    ),
    Trap(
        "conditional definition",
        {"pipeline.py": "FAST = True\nif FAST:\n    def f():\n        return 1\nelse:\n    def f():\n        return 2\n"
                        "@rw.step\ndef out():\n    return f()\n"},
        ("pipeline.py", "FAST = True", "FAST = False"), 1, 2,
    ),
    Trap(
        "monkeypatch by the module's own code",
        {"pipeline.py": "import h\ndef better():\n    return 2\nh.one = better\n@rw.step\ndef out():\n    return h.one()\n",
         "h.py": "def one():\n    return 1\n"},
        ("pipeline.py", "return 2\n", "return 3\n"), 2, 3, unaffected=(),
    ),
    Trap(
        "a module's list filled by another module",
        {"pipeline.py": "import h\nimport plugins\n@rw.step\ndef out():\n    return list(h.NAMES)\n",
         "h.py": "NAMES = []\n", "plugins.py": "import h\nh.NAMES.append('a')\n"},
        ("plugins.py", "'a'", "'b'"), ["a"], ["b"], unaffected=(),
    ),
    Trap(
        "a registry filled by decorators",
        {"pipeline.py": "from registry import ALL\nimport ways\n@rw.step\ndef out():\n    return [f() for f in ALL]\n",
         "registry.py": "ALL = []\ndef register(f):\n    ALL.append(f)\n    return f\n",
         "ways.py": "from registry import register\n@register\ndef a():\n    return 1\n"},
        ("ways.py", "return 1", "return 2"), [1], [2], unaffected=(),
    ),
    Trap(
        "a registry filled by subclassing",
        {"pipeline.py": "from reg import ALL, Base\nimport subs\n@rw.step\ndef out():\n    return [c().v() for c in ALL]\n",
         "reg.py": "ALL = []\nclass Base:\n    def __init_subclass__(cls):\n        ALL.append(cls)\n",
         "subs.py": "from reg import Base\nclass A(Base):\n    def v(self):\n        return 1\n"},
        ("subs.py", "return 1", "return 2"), [1], [2], unaffected=(),
    ),
    Trap(
        "a global changed by a function called at import",
        {"pipeline.py": "STATE = 1\ndef up():\n    global STATE\n    STATE = 5\nup()\n@rw.step\ndef out():\n    return STATE\n"},
        ("pipeline.py", "STATE = 5", "STATE = 6"), 5, 6, unaffected=(),
    ),
    Trap(
        "augmented constant",
        {"pipeline.py": "N = [1]\nN += [2]\n@rw.step\ndef out():\n    return N\n"},
        ("pipeline.py", "[2]", "[3]"), [1, 2], [1, 3], unaffected=(),
    ),
    Trap(
        "the order of code at import",
        {"pipeline.py": "X = [1]\nX.append(2)\nX.append(3)\n@rw.step\ndef out():\n    return X\n"},
        ("pipeline.py", "X.append(2)\nX.append(3)", "X.append(3)\nX.append(2)"), [1, 2, 3], [1, 3, 2], unaffected=(),
    ),
    Trap(
        "getattr by a written name",
        {"pipeline.py": "import h\n@rw.step\ndef out():\n    return getattr(h, 'one')()\n",
         "h.py": "def one():\n    return 1\n"},
        ("h.py", "return 1", "return 2"), 1, 2,
    ),
    Trap(
        "getattr by a name made at run time",
        {"pipeline.py": "import h\n@rw.step\ndef out():\n    return getattr(h, 'o' + 'ne')()\n",
         "h.py": "def one():\n    return 1\n"},
        ("h.py", "return 1", "return 2"), 1, 2,
    ),
    Trap(
        "importlib",
        {"pipeline.py": "import importlib\n@rw.step\ndef out():\n    return importlib.import_module('h').one()\n",
         "h.py": "def one():\n    return 1\n"},
        ("h.py", "return 1", "return 2"), 1, 2,
    ),
    Trap(
        "globals",
        {"pipeline.py": "def one():\n    return 1\n@rw.step\ndef out():\n    return globals()['one']()\n"},
        ("pipeline.py", "return 1\n", "return 2\n"), 1, 2,
    ),
    Trap(
        "exec of text",
        {"pipeline.py": "CODE = 'x = K'\nK = 1\n@rw.step\ndef out():\n    d = {'K': K}\n    exec(CODE, d)\n    return d['x']\n"},
        ("pipeline.py", "K = 1", "K = 2"), 1, 2,
    ),
    Trap(
        "a module handed on",
        {"pipeline.py": "import h\ndef call(m):\n    return m.one()\n@rw.step\ndef out():\n    return call(h)\n",
         "h.py": "def one():\n    return 1\n"},
        ("h.py", "return 1", "return 2"), 1, 2,
    ),
    Trap(
        "a name in a pandas query",
        {"pipeline.py": "import pandas as pd\nLIMIT = 1\n@rw.step\ndef out():\n"
                        "    return int(pd.DataFrame({'a': [1, 2, 3]}).query('a > @LIMIT')['a'].sum())\n"},
        ("pipeline.py", "LIMIT = 1", "LIMIT = 2"), 5, 3,
    ),
    Trap(
        "a file read by the step",
        {"pipeline.py": "from pathlib import Path\n@rw.step\ndef out():\n    return Path('look' + 'up.txt').read_text()\n",
         "lookup.txt": "a"},
        ("lookup.txt", "a", "b"), "a", "b",
    ),
    Trap(
        "a file named in the text, read without Python",
        {"pipeline.py": "import duckdb\n@rw.step\ndef out():\n"
                        "    return duckdb.connect().sql(\"select v from 'rates.csv'\").fetchall()[0][0]\n",
         "rates.csv": "v\n1\n"},
        ("rates.csv", "1", "2"), 1, 2,
    ),
    Trap(
        "a file read by the module",
        {"pipeline.py": "import json\nfrom pathlib import Path\nRATES = json.loads((Path(__file__).parent / 'rates.json').read_text())\n"
                        "@rw.step\ndef out():\n    return RATES\n",
         "rates.json": "1"},
        ("rates.json", "1", "2"), 1, 2, unaffected=(),
    ),
    Trap(
        "string annotation that comes later",
        {"pipeline.py": "from __future__ import annotations\nimport dataclasses\n@rw.step\ndef out():\n    return [f.default for f in dataclasses.fields(P)]\n"
                        "@dataclasses.dataclass\nclass P:\n    x: Q = 1\nclass Q:\n    pass\n"},
        ("pipeline.py", "x: Q = 1", "x: Q = 2"), [1], [2],
    ),
    Trap(
        "property, static and class methods",
        {"pipeline.py": "class C:\n    @property\n    def a(self):\n        return self.b()\n    @staticmethod\n    def b():\n        return 1\n"
                        "@rw.step\ndef out():\n    return C().a\n"},
        ("pipeline.py", "return 1\n", "return 2\n"), 1, 2,
    ),
    Trap(
        "class attribute computed from a global",
        {"pipeline.py": "SIZE = 1\nclass C:\n    SIZE = SIZE + 1\n@rw.step\ndef out():\n    return C.SIZE\n"},
        ("pipeline.py", "SIZE = 1\n", "SIZE = 5\n"), 2, 6,
    ),
    Trap(
        "parameter",
        {"pipeline.py": "@rw.step\ndef out(rate):\n    return rate\n",
         "roadworthy.toml": '[project]\nname = "trap"\n[params]\nrate = 1\nother = 2\n'},
        ("roadworthy.toml", "rate = 1", "rate = 1.0"), 1, 1.0,
    ),
    Trap(
        "data changed by one byte",
        {"pipeline.py": "@rw.step\ndef out(rows):\n    return int(rows['v'].sum())\n",
         "roadworthy.toml": '[project]\nname = "trap"\n[data.rows]\npath = "rows.csv"\n', "rows.csv": "v\n1\n2\n"},
        ("rows.csv", "2", "3"), 3, 4,
    ),
    Trap(
        "a step called by a step",
        {"pipeline.py": "@rw.step\ndef base():\n    return 1\n@rw.step\ndef out():\n    return base() + 1\n"},
        ("pipeline.py", "return 1\n", "return 2\n"), 2, 3,
    ),
    Trap(
        "walrus and comprehension",
        {"pipeline.py": "def f(x):\n    return x\n@rw.step\ndef out():\n    return [y for x in [1] if (y := f(x))]\n"},
        ("pipeline.py", "return x\n", "return x + 1\n"), [1], [2],
    ),
    Trap(
        "module __getattr__",
        {"pipeline.py": "import h\n@rw.step\ndef out():\n    return h.anything\n",
         "h.py": "def __getattr__(name):\n    return make()\ndef make():\n    return 1\n"},
        ("h.py", "return 1", "return 2"), 1, 2,
    ),
    Trap(
        "enumeration",
        {"pipeline.py": "from enum import Enum\nclass E(Enum):\n    A = 1\n@rw.step\ndef out():\n    return [e.value for e in E]\n"},
        ("pipeline.py", "A = 1", "A = 2"), [1], [2],
    ),
]  # fmt: skip
