"""A kernel of our own: what a cell did comes back, whatever it did."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.notebooks.execute.kernel import Kernel
from roadworthy.nouns.errors import Code, Fault


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(cwd=tmp_path_factory.mktemp("kernel")) as running:
        yield running


def test_outputs_come_in_the_shape_of_a_notebook(kernel: Kernel) -> None:
    ran = kernel.execute("import sys\nprint('a')\nprint('b')\nprint('c', file=sys.stderr)\n6 * 7")
    assert ran.end == "ok"
    assert ran.text == "a\nb\n"
    kinds = [(o["output_type"], o.get("name")) for o in ran.outputs]
    assert kinds == [("stream", "stdout"), ("stream", "stderr"), ("execute_result", None)]
    assert ran.outputs[2]["data"] == {"text/plain": "42"}
    assert ran.outputs[2]["execution_count"] == ran.count


def test_displays_are_updated_and_cleared_in_place(kernel: Kernel) -> None:
    code = "from IPython.display import display, clear_output\nh = display('one', display_id=True)\nh.update('two')"
    assert [o["data"]["text/plain"] for o in kernel.execute(code).outputs] == ["'two'"]
    assert kernel.execute("print('gone')\nclear_output()\nprint('there')").text == "there\n"
    assert kernel.execute("print('gone')\nclear_output(wait=True)\nprint('there')").text == "there\n"


def test_of_a_progress_bar_only_what_it_showed_last_is_kept(kernel: Kernel) -> None:
    assert kernel.execute(r"for i in range(500): print(f'\r{i} of 500', end='')").text == "499 of 500"


def test_memory_is_the_peak_of_the_cell_alone(kernel: Kernel) -> None:
    large = kernel.execute("x = bytearray(300 << 20)").memory_peak_mb
    small = kernel.execute("del x").memory_peak_mb
    after = kernel.execute("1").memory_peak_mb
    assert large > 300
    assert small > 300  # it began with them
    assert after < 300


def test_cpu_time_is_of_the_cell_and_its_children(kernel: Kernel) -> None:
    assert kernel.execute("sum(i * i for i in range(3_000_000))").cpu_s > 0.05
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'sum(i * i for i in range(3_000_000))'])"
    assert kernel.execute(code).cpu_s > 0.05


def test_an_error_has_the_traceback_of_the_cell(kernel: Kernel) -> None:
    ran = kernel.execute("def f():\n    return 1 / 0\nf()")
    assert ran.end == "error"
    assert ran.error is not None
    assert (ran.error.name, ran.error.value) == ("ZeroDivisionError", "division by zero")
    assert "return" in ran.error.traceback


def test_silent_code_leaves_the_count_alone(kernel: Kernel) -> None:
    before = kernel.execute("1").count
    assert kernel.execute("print('quiet')", silent=True).text == "quiet\n"
    after = kernel.execute("1").count
    assert before is not None
    assert after == before + 1


def test_input_is_refused(kernel: Kernel) -> None:
    error = kernel.execute("input('name? ')").error
    assert error is not None
    assert error.name == "StdinNotImplementedError"


def test_an_endless_loop_is_interrupted_and_the_kernel_lives_on(kernel: Kernel) -> None:
    kernel.execute("kept = 5")
    ran = kernel.execute("while True:\n    pass", limit_s=0.5)
    assert ran.end == "timeout"
    assert ran.error is not None
    assert ran.error.name == "Timeout"
    assert "while" in ran.error.traceback
    assert kernel.execute("print(kept)").text == "5\n"


def test_what_is_printed_without_end_is_cut(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadworthy.notebooks.execute.outputs.SIZE_MAX", 10_000)
    ran = kernel.execute("for i in range(100):\n    print('x' * 1000, flush=True)")
    assert len(ran.text) <= 10_000
    assert "cut here" in ran.outputs[-1]["text"]


def test_code_that_ignores_the_interrupt_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadworthy.notebooks.execute.kernel.GRACE_S", 0.5)
    with Kernel(cwd=tmp_path) as running:
        code = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(0.01)"
        assert running.execute(code, limit_s=0.5).end == "timeout"
        assert running.execute("1").end == "died"


def test_a_kernel_that_dies_says_by_what(tmp_path: Path) -> None:
    with Kernel(cwd=tmp_path) as running:
        ran = running.execute("import os\nos.kill(os.getpid(), 9)")
    assert ran.end == "died"
    assert ran.error is not None
    assert "SIGKILL" in ran.error.value


def test_a_kernel_that_does_not_start_is_unavailable(tmp_path: Path) -> None:
    with (
        pytest.raises(Fault) as caught,
        Kernel(cwd=tmp_path, argv=("python3", "-c", "raise SystemExit('no module x')")) as running,
    ):
        running.connect()
    assert caught.value.code == Code.UNAVAILABLE
    assert "no module x" in str(caught.value)


def test_nothing_is_left_of_a_kernel(tmp_path: Path) -> None:
    with Kernel(cwd=tmp_path) as running:
        folder = running._folder
        child = running.execute(
            "import subprocess, atexit, pathlib\np = subprocess.Popen(['sleep', '300'])\n"
            "atexit.register(lambda: pathlib.Path('left.txt').write_text('ran'))\nprint(p.pid)"
        ).text
        pid = running.pid
    assert not folder.exists()
    assert (tmp_path / "left.txt").read_text() == "ran"
    for number in (pid, int(child)):
        assert not _lives(number)


def test_a_kernel_ends_by_itself_when_it_is_closed(tmp_path: Path) -> None:
    for number in range(6):  # asked by message, one in five of them never did
        with Kernel(cwd=tmp_path) as running:
            running.execute(f"print({number})")
        assert running.ending() == "exit code 0"


def test_a_kernel_that_will_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadworthy.notebooks.execute.kernel.SHUTDOWN_S", 0.5)
    with Kernel(cwd=tmp_path) as running:
        running.execute("import atexit, time\natexit.register(time.sleep, 300)")
    assert running.ending().startswith("SIGKILL")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
