"""`rw notebook graph` as a process."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.notebooks.making import write

RW = Path(sys.executable).parent / "rw"


def rw(folder: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run([RW, "notebook", "graph", *words], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_graph_is_drawn_as_text_json_and_svg(tmp_path: Path) -> None:
    write(tmp_path, "x = 1", "y = x", "y.append(x)", "print(y)")
    code, out, _ = rw(tmp_path, "made.ipynb")
    assert code == 0
    assert [line[:6] for line in out.splitlines()] == ["1 o   ", "2 ├o  ", "3 ╰╰o ", "4   ╰ "]
    told = json.loads(rw(tmp_path, "made.ipynb", "--json")[1])
    assert {(a["source"], a["target"]) for a in told["arrows"]} >= {(0, 1), (1, 2), (2, 3)}
    code, _, err = rw(tmp_path, "made.ipynb", "--svg", "a.svg")
    assert code == 0
    assert "4 cells" in err
    ET.fromstring((tmp_path / "a.svg").read_text())
    ET.fromstring(rw(tmp_path, "made.ipynb", "--svg", "-")[1])


def test_where_it_cannot_be_written_it_says_so(tmp_path: Path) -> None:
    write(tmp_path, "x = 1")
    code, _, err = rw(tmp_path, "made.ipynb", "--svg", "none/a.svg")
    assert code == 2
    assert "cannot be written" in err
    assert rw(tmp_path, "none.ipynb")[0] == 3
