"""`%load_ext roadworthy` in a real kernel: findings, steps, the command line, and leaving it again."""

from pathlib import Path

from roadworthy.notebooks.execute.cells import CellDone, execute
from roadworthy.notebooks.execute.kernel import Kernel
from tests.notebooks.written import write

CELLS = (
    "%load_ext roadworthy",
    "import random",
    "path = '/home/anna/rows.csv'\nnumbers = [random.random() for _ in range(3)]",
    "path = '/home/anna/rows.csv'\nnumbers = [random.random() for _ in range(3)]",
    "a = [1, 2]",
    "%%rw step doubled\nimport math\nb = [x * 2 for x in a]\nopen('ran', 'a').write('x')\nc = math.floor(2.5)",
    "del b, c, math",
    "%%rw step doubled\nimport math\nb = [x * 2 for x in a]\nopen('ran', 'a').write('x')\nc = math.floor(2.5)",
    "print(b, c, math.pi > 3)",
    "a.append(3)",
    "%%rw step doubled\nimport math\nb = [x * 2 for x in a]\nopen('ran', 'a').write('x')\nc = math.floor(2.5)",
    "print(b)",
    "%%rw step made\ngen = (i for i in a)",
    "%rw --version",
    "%rw findings off",
    "path = '/home/anna/other.csv'",
    "%%rw stop x\n1",
    "%%rw step Bad-Name\n1",
    "%unload_ext roadworthy",
    "%%rw step failing\nvalue = 3\n1 / 0",
)


def said(done: CellDone) -> str:
    """What stands below a cell."""
    return "".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in done.ran.outputs)


def test_the_extension_in_a_real_kernel(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", *CELLS)
    found = execute(notebook, environment={"ROADWORTHY_STEP_OUT": str(tmp_path)})
    below = [said(one) for one in found.done]
    assert below[0] == ""
    assert "RWN301" in below[2]
    assert "RWN501" in below[2]
    assert "<div" in found.done[2].ran.outputs[0]["data"]["text/html"]
    assert "RWN301" in below[3]  # another cell
    assert below[5].startswith("step doubled: ran in")
    assert below[7].startswith("step doubled: reused, nothing it rests on changed")
    assert below[8] == "[2, 4] 2 True\n"
    assert "(`a` changed)" in below[10]
    assert below[11] == "[2, 4, 6]\n"
    assert (tmp_path / "ran").read_text() == "xx"
    assert "it will run every time: `gen`: no format stores" in below[12]
    assert below[13].startswith("rw, version")
    assert below[15] == ""
    assert "%%rw step NAME" in below[16]
    assert "a step's name is a lower-case name" in below[17]
    assert found.failed is not None
    assert found.failed.index == len(CELLS) - 1
    assert found.failed.ran.error is not None
    assert "rw" in found.failed.ran.error.value  # the magic is gone


def test_a_failing_step_fails_its_cell_with_its_own_traceback(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "%load_ext roadworthy", "%%rw step failing\nvalue = 3\n1 / 0", "never = 1")
    found = execute(notebook, environment={"ROADWORTHY_STEP_OUT": str(tmp_path)})
    assert found.failed is not None
    assert found.failed.index == 1
    error = found.failed.ran.error
    assert error is not None
    assert (error.name, error.value) == ("ZeroDivisionError", "division by zero")
    assert "1 / " in error.traceback or "1" in error.traceback
    assert "magics.py" not in error.traceback
    assert sum(o["output_type"] == "error" for o in found.failed.ran.outputs) == 1


def test_a_finding_is_said_once_of_a_cell_however_often_it_runs(tmp_path: Path) -> None:
    with Kernel(cwd=tmp_path) as kernel:
        kernel.execute("%load_ext roadworthy", cell="a")
        first = kernel.execute("x = open('/home/anna/x')  # doctest", cell="b")
        assert first.end == "error"
        assert len(first.outputs) == 1  # of a cell that failed there is enough to read
        assert kernel.execute("path = '/home/anna/x'", cell="b").outputs
        assert not kernel.execute("path = '/home/anna/x'", cell="b").outputs
        assert kernel.execute("path = '/home/anna/y'", cell="b").outputs
