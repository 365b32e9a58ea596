"""Tracking from scripts, notebooks and steps: real processes, real stores."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import roadworthy as rw
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.run import Run
from roadworthy.registry import artifacts, history, metrics, runs, tracked
from roadworthy.store import log
from roadworthy.store.store import Store, open_store


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROADWORTHY_STEP_OUT", raising=False)
    return tmp_path


def execute(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(code, "utf-8")
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=60,
        env={**os.environ, **environment}, check=False,
    )  # fmt: skip


def newest(folder: Path) -> tuple[Store, Run]:
    store = open_store(folder / ".roadworthy")
    return store, runs.get(store, "latest")


def test_a_script_without_a_project_is_tracked(here: Path) -> None:
    done = execute(
        here,
        "import roadworthy as rw\n"
        "rw.log_param('lr', 0.1)\n"
        "for i in range(500): rw.log_metric('loss', 1 / (i + 1), i)\n"
        "rw.set_tag('by', 'hand')\n"
        "rw.log_artifact(b'hello', 'a/notes.txt')\n",
    )
    assert done.returncode == 0, done.stderr
    store, run = newest(here)
    assert f"rw runs show {run.id[:12]}" in done.stderr
    assert (run.status, run.params, run.tags["by"], run.project) == ("finished", {"lr": 0.1}, "hand", "")
    assert len(history.of_run(store, run.id, "loss")) == 500
    assert artifacts.read(store, artifacts.get(store, run.id, "a/notes.txt")) == b"hello"
    assert run.environment.packages["msgspec"]
    assert run.code.archive
    assert b"rw.set_tag" in store.blobs.get(run.code.archive)


def test_a_script_in_a_project_is_tracked_there(here: Path) -> None:
    (here / "roadworthy.toml").write_text('[project]\nname = "flights"\n')
    (here / "deep").mkdir()
    done = execute(here / "deep", "import roadworthy as rw\nrw.log_metric('auc', 0.7)\n")
    assert done.returncode == 0, done.stderr
    store, run = newest(here)
    assert run.project == "flights"
    assert metrics.latest(store, run.id) == {"auc": 0.7}
    assert not (here / "deep" / ".roadworthy").exists()


def test_a_script_that_fails_leaves_a_failed_run(here: Path) -> None:
    execute(here, "import roadworthy as rw\nrw.log_metric('a', 1)\nraise ValueError('no')\n")
    store, run = newest(here)
    assert run.status == "failed"
    assert "ValueError: no" in str(run.error)
    assert metrics.latest(store, run.id) == {"a": 1.0}


def test_a_killed_script_leaves_a_killed_run_with_all_but_the_last_half_second(here: Path) -> None:
    (here / "script.py").write_text(
        "import roadworthy as rw, time\nrw.log_metric('a', 1)\ntime.sleep(1.2)\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "script.py"], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    store, run = newest(here)
    assert run.status == "killed"
    assert metrics.latest(store, run.id) == {"a": 1.0}


def test_a_bracket_is_a_run_and_brackets_nest(here: Path) -> None:
    with rw.start_run("outer", group="g", params={"a": 1}) as outer:
        rw.log_metric("m", 1)
        with rw.start_run("inner") as inner:
            rw.log_metric("m", 2)
        rw.log_metric("m", 3, step=1)
    with open_store(here / ".roadworthy") as store:
        assert metrics.latest(store, outer.id) == {"m": 3.0}
        assert metrics.latest(store, inner.id) == {"m": 2.0}
        run = runs.get(store, outer.id)
        assert (run.name, run.group, run.params, run.status) == ("outer", "g", {"a": 1}, "finished")


def test_a_bracket_that_raises_has_failed(here: Path) -> None:
    with pytest.raises(ZeroDivisionError), rw.start_run() as run:
        1 / 0  # noqa: B018
    with open_store(here / ".roadworthy") as store:
        assert runs.get(store, run.id).status == "failed"


def test_a_notebook_without_a_project_is_tracked(here: Path) -> None:
    """A session like that of a kernel: an error ends a cell, not the run; the cells are kept as the code."""
    done = execute(
        here,
        "import sys, __main__\n"
        "__main__.get_ipython = lambda: None\n"
        "__main__.In = ['', 'import roadworthy as rw', 'rw.log_metric(\"auc\", 0.7)']\n"
        "import roadworthy as rw\n"
        "rw.log_metric('auc', 0.7)\n"
        "sys.last_value = ValueError('of an earlier cell')\n",
    )
    assert done.returncode == 0, done.stderr
    store, run = newest(here)
    assert run.status == "finished"
    assert run.code.archive
    assert b'# In [2]\nrw.log_metric("auc", 0.7)' in store.blobs.get(run.code.archive)


@pytest.mark.slow
def test_a_real_kernel_is_tracked(here: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = ["import roadworthy as rw", "rw.log_metric('auc', 0.7)", "raise ValueError('x')", "rw.log_param('lr', 1)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    execution = (
        "import nbclient, nbformat, sys\n"
        "notebook = nbformat.read('n.ipynb', 4)\n"
        "nbclient.NotebookClient(notebook, allow_errors=True, kernel_name='python3', timeout=60).execute()\n"
    )
    nbformat.write(notebook, here / "n.ipynb")
    assert nbclient
    done = execute(here, execution)
    assert done.returncode == 0, done.stderr
    store, run = newest(here)
    assert (run.status, run.params, run.command) == ("finished", {"lr": 1}, "notebook")
    assert metrics.latest(store, run.id) == {"auc": 0.7}
    assert run.code.archive
    assert b"rw.log_param('lr', 1)" in store.blobs.get(run.code.archive)


def test_a_forked_worker_logs_to_the_same_run_and_does_not_end_it(here: Path) -> None:
    done = execute(
        here,
        "import multiprocessing as mp, os\n"
        "import roadworthy as rw\n"
        "def work(n): rw.log_metric('w', n, n)\n"
        "rw.log_metric('w', 0, 0)\n"
        "if os.fork() == 0:\n"
        "    work(9)\n"
        "    raise SystemExit\n"
        "os.wait()\n"
        "ctx = mp.get_context('fork')\n"
        "ps = [ctx.Process(target=work, args=(n,)) for n in (1, 2)]\n"
        "[p.start() for p in ps]; [p.join() for p in ps]\n"
        "rw.log_metric('w', 10, 10)\n",
    )
    assert done.returncode == 0, done.stderr
    store, run = newest(here)
    assert len(runs.listing(store)) == 1
    with store.read() as reader:
        assert [e.kind for e in log.search(reader, kind="run")] == ["run.finished", "run.started"]
    assert [p.step for p in history.of_run(store, run.id, "w")] == [0, 1, 2, 9, 10]


def test_threads_share_the_run(here: Path) -> None:
    with rw.start_run() as run:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: rw.log_metric("t", n, n), range(400)))
    with open_store(here / ".roadworthy") as store:
        assert [p.step for p in history.of_run(store, run.id, "t")] == list(range(400))


def test_numpy_and_other_values_become_plain(here: Path) -> None:
    import numpy as np

    with rw.start_run(params={"a": np.int64(3), "b": np.array([1.5]), "c": {1, 2}.__class__, "d": float("nan")}) as run:
        rw.log_metric("f", np.float32(0.5))
        rw.log_params({"path": Path("/x")})
    with open_store(here / ".roadworthy") as store:
        found = runs.get(store, run.id).params
        assert (found["a"], found["b"], found["c"], found["path"]) == (3, [1.5], "<class 'set'>", "/x")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: rw.log_metric("a", "much"),  # type: ignore[arg-type]
        lambda: rw.log_metric("", 1),
        lambda: rw.log_metric("a", 1, step="x"),  # type: ignore[arg-type]
        lambda: rw.log_artifact("/nowhere/at/all"),
        lambda: rw.log_artifact(b"x"),
        lambda: rw.log_artifact(b"x", "../x"),
        lambda: rw.log_figure(object(), "x.png"),
    ],
)
def test_mistakes_are_faults_and_begin_no_run(here: Path, wrong) -> None:
    with pytest.raises(Fault):
        wrong()
    assert not (here / ".roadworthy").exists()


def test_folders_are_kept_without_what_links_lead_out_to(here: Path) -> None:
    (here / "out" / "sub").mkdir(parents=True)
    (here / "out" / "sub" / "a.txt").write_text("a")
    (here / "secret").write_text("s")
    (here / "out" / "link").symlink_to(here / "secret")
    with rw.start_run() as run:
        rw.log_artifact("out")
    with open_store(here / ".roadworthy") as store:
        assert [a.path for a in artifacts.listing(store, run.id)] == ["out/sub/a.txt"]


class Figure:
    def savefig(self, to, format, **_):  # noqa: A002 - matplotlib's word
        to.write(format.encode())


class Plotly:
    def to_html(self) -> str:
        return "<html>"


def test_figures(here: Path) -> None:
    with rw.start_run() as run:
        rw.log_figure(Figure(), "roc")
        rw.log_figure(Figure(), "plots/roc.svg")
        rw.log_figure(Plotly(), "p")
    with open_store(here / ".roadworthy") as store:
        kept = {a.path: artifacts.read(store, a) for a in artifacts.listing(store, run.id)}
    assert kept == {"roc.png": b"png", "plots/roc.svg": b"svg", "p.html": b"<html>"}


def test_inside_a_step_lines_go_to_its_folder_and_can_be_replayed(
    here: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = here / "step"
    out.mkdir()
    monkeypatch.setenv("ROADWORTHY_STEP_OUT", str(out))
    (here / "file.txt").write_text("text")
    before = time.time()
    with rw.start_run("ignored"):
        rw.log_metric("auc", 0.7, step=2)
        rw.log_metric("bad", float("nan"))
        rw.log_params({"k": [1]})
        rw.set_tag("t", "v")
        rw.log_artifact("file.txt", "d/file.txt")
    lines = [json.loads(line) for line in (out / "tracked.jsonl").read_text().splitlines()]
    assert {"kind": "metric", "key": "auc", "value": 0.7, "step": 2}.items() <= lines[1].items()
    assert lines[1]["at"] >= before
    run = runs.start(store, Run(id=""))
    tracked.apply(store, run.id, out)
    found = runs.get(store, run.id)
    assert (found.params, found.tags["t"], found.tags["name"]) == ({"k": [1]}, "v", "ignored")
    assert metrics.latest(store, run.id)["auc"] == 0.7
    assert [p.step for p in history.of_run(store, run.id, "auc")] == [2]
    assert [a.path for a in artifacts.listing(store, run.id)] == ["d/file.txt"]


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "tracked.jsonl").write_text('{"kind":"tag","key":"a","value":"1"}\n{"kind":"metric","key":"b","va')
    assert [line.key for line in tracked.read(tmp_path)] == ["a"]
    assert tracked.read(tmp_path / "none") == []


def test_a_line_cannot_name_a_file_outside(tmp_path: Path, store: Store) -> None:
    out = tmp_path / "step"
    out.mkdir()
    (tmp_path / "secret").write_text("s")
    (out / "link").symlink_to(tmp_path / "secret")
    run = runs.start(store, Run(id=""))
    for file in ["../secret", str(tmp_path / "secret"), "link", "none"]:
        (out / "tracked.jsonl").write_text(json.dumps({"kind": "artifact", "key": "x", "file": file}) + "\n")
        with pytest.raises(Fault, match="outside"):
            tracked.apply(store, run.id, out)


def _log_in_parallel(folder: str, number: int) -> None:
    os.environ["ROADWORTHY_STEP_OUT"] = folder
    for i in range(200):
        rw.log_metric("p", number, step=i)


def test_processes_of_one_step_write_whole_lines(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_log_in_parallel, args=(str(tmp_path), n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(tracked.read(tmp_path)) == 800


@pytest.mark.postgres
def test_a_script_is_tracked_in_postgresql(here: Path, postgres) -> None:
    url = postgres.new_database()
    done = execute(here, "import roadworthy as rw\nrw.log_metric('auc', 0.7)\n", ROADWORTHY_STORE=url)
    assert done.returncode == 0, done.stderr
    with open_store(here / ".roadworthy", url=url) as store:
        assert metrics.latest(store, runs.get(store, "latest").id) == {"auc": 0.7}
