"""Runs: what is reused and why, what fails and what goes on, what is kept when a run is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from roadworthy.data import snapshots
from roadworthy.nouns.errors import Code, Fault
from roadworthy.pipelines import runner
from roadworthy.registry import artifacts, history, metrics, runs
from roadworthy.store import locks
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import open_store

HEAD = "import roadworthy as rw\n"


def steps(*bodies: str) -> str:
    return HEAD + "".join(f"@rw.step\ndef {body}\n" for body in bodies)


def test_only_what_changed_runs_and_the_reason_is_said(bench: Callable) -> None:
    project = bench(
        {"pipeline.py": steps("a(): return 1", "b(a): return a + 1", "c(): return 5", "d(b, c): return b + c")}
    )
    first = project.run()
    assert first.status == "finished"
    assert project.value(first, "d") == 7
    assert set(project.statuses(first).values()) == {"ran"}
    again = project.run()
    assert again.id == first.id
    assert project.lines == [f"nothing to do: all 4 steps reused (run {first.id[:12]})"]
    project.write({"pipeline.py": (project.root / "pipeline.py").read_text().replace("return 1", "return 2")})
    assert project.why() == {
        "a": "run: its code changed",
        "b": "wait: runs if a comes out differently",
        "c": f"reuse: unchanged since run {first.id[:12]} (2023-11-14 22:13)",
        "d": "wait: runs if b comes out differently",
    }
    second = project.run()
    assert project.statuses(second) == {"a": "ran", "b": "ran", "c": "reused", "d": "ran"}
    assert second.step("b").why == "input a changed"
    assert project.value(second, "d") == 8
    assert second.step("c").reused_from == first.id


def test_equal_output_of_a_changed_step_stops_the_change(bench: Callable) -> None:
    project = bench({"pipeline.py": steps("a(): return 1", "b(a): return a + 1")})
    project.run()
    project.write({"pipeline.py": steps("a(): return 2 - 1", "b(a): return a + 1")})
    assert project.statuses(project.run()) == {"a": "ran", "b": "reused"}


def test_going_back_reuses_what_was_made_before(bench: Callable) -> None:
    project = bench(
        {"pipeline.py": steps("a(rate): return rate"), "roadworthy.toml": '[project]\nname = "s"\n[params]\nrate = 1\n'}
    )
    first = project.run()
    assert project.value(project.run(settings=("rate=2",)), "a") == 2
    back = project.run()
    assert back.id == first.id
    assert project.why(settings=("rate=3",)) == {"a": "run: params.rate 2 -> 3"}


def test_tables_arrays_and_models_go_from_step_to_step(bench: Callable) -> None:
    text = HEAD + (
        "import numpy as np\nimport pandas as pd\nfrom sklearn.linear_model import LogisticRegression\n"
        "@rw.step\ndef rows(orders: pd.DataFrame): return orders[orders['x'] > 0]\n"
        "@rw.step\ndef model(rows): return LogisticRegression().fit(rows[['x']], rows['y'])\n"
        "@rw.step\ndef score(model, rows): return model.predict_proba(rows[['x']])[:, 1]\n"
        "@rw.step\ndef mean(score: np.ndarray): return {'mean': float(score.mean())}\n"
    )
    toml = '[project]\nname = "s"\n[data.orders]\npath = "orders.csv"\n'
    project = bench({"pipeline.py": text, "roadworthy.toml": toml, "orders.csv": "x,y\n-1,0\n1,0\n2,0\n3,1\n4,1\n"})
    run = project.run()
    assert run.status == "finished", [s.error for s in run.steps]
    assert 0.4 < project.value(run, "mean")["mean"] < 0.6
    assert run.snapshots.keys() == {"orders"}
    # Another file, other bytes, the same rows after the first step: what follows is reused.
    project.write({"orders.csv": "x,y\n-7,0\n1,0\n2,0\n3,1\n4,1\n"})
    assert project.statuses(project.run()) == {"rows": "ran", "model": "reused", "score": "reused", "mean": "reused"}


def test_a_failure_shows_the_users_code_and_leaves_other_branches_alone(bench: Callable) -> None:
    text = HEAD + (
        "import json\nfrom h import broken\n"
        "@rw.step\ndef bad(): return broken('x')\n@rw.step\ndef after(bad): return bad\n"
        "@rw.step\ndef further(after): return after\n@rw.step\ndef good(): print('fine'); return 1\n"
    )
    project = bench(
        {"pipeline.py": text, "h.py": "import json\ndef broken(t):\n    print('about to')\n    return json.loads(t)\n"}
    )
    run = project.run()
    assert run.status == "failed"
    assert run.error == "`bad` failed"
    assert project.statuses(run) == {"bad": "failed", "good": "ran", "after": "skipped", "further": "skipped"}
    error = run.step("bad").error
    assert error.startswith("JSONDecodeError: Expecting value")
    assert 'pipeline.py", line 5, in bad' in error
    assert 'h.py", line 4, in broken' in error
    assert "roadworthy/pipelines" not in error
    assert run.step("after").why == "its input bad failed"
    assert run.step("further").why == "its input after was skipped"
    assert project.store.blobs.get(run.step("bad").log) == b"about to\n"
    assert project.store.blobs.get(run.step("good").log) == b"fine\n"
    project.write({"h.py": "def broken(t):\n    return 3\n"})
    mended = project.run()
    assert project.lines[0] == f"run {run.id[:12]} failed; the 1 steps that it finished are kept"
    assert project.statuses(mended) == {"bad": "ran", "good": "reused", "after": "ran", "further": "ran"}


def test_a_step_is_tried_again_and_ended_in_time(bench: Callable) -> None:
    text = HEAD + (
        "import time\nfrom pathlib import Path\n"
        "@rw.step(retries=2)\ndef shaky():\n"
        "    tries = Path('tries.txt')\n    tries.write_text(tries.read_text() + 'x' if tries.exists() else 'x')\n"
        "    if tries.read_text() != 'xx':\n        raise OSError('not yet')\n    return tries.read_text()\n"
        "@rw.step(timeout=0.5)\ndef slow():\n    import subprocess\n    subprocess.run(['sleep', '60'])\n"
    )
    project = bench({"pipeline.py": text})
    run = project.run()
    assert project.statuses(run) == {"shaky": "ran", "slow": "failed"}
    assert run.step("shaky").attempts == 2
    assert b"attempt 1 failed (OSError: not yet)" in project.store.blobs.get(run.step("shaky").log)
    assert run.step("slow").error == "it took longer than its time limit of 0.5 s"
    assert 0.4 < run.step("slow").wall_s < 30


def test_what_a_step_tracks_is_there_again_when_it_is_reused(bench: Callable) -> None:
    text = HEAD + (
        "@rw.step\ndef a(rate):\n    rw.log_metric('auc', 0.5, step=1)\n    rw.log_metric('auc', 0.7, step=2)\n"
        "    rw.log_param('trees', 3)\n    rw.set_tag('kind', 'test')\n    rw.log_artifact(b'hello', 'notes/a.txt')\n"
        "    return rate\n"
        "@rw.step\ndef b(other): return other\n"
    )
    toml = '[project]\nname = "s"\n[params]\nrate = 1\nother = 1\n'
    project = bench({"pipeline.py": text, "roadworthy.toml": toml})
    for run in (project.run(), project.run(settings=("other=2",))):
        store = project.store
        assert metrics.latest(store, run.id) == {"auc": 0.7}
        assert [p.value for p in history.of_run(store, run.id, "auc")] == [0.5, 0.7]
        full = runs.get(store, run.id)
        assert full.params["trees"] == 3
        assert full.tags["kind"] == "test"
        assert artifacts.read(store, artifacts.get(store, run.id, "notes/a.txt")) == b"hello"
    assert project.statuses(run) == {"a": "reused", "b": "ran"}


def test_a_run_records_code_environment_and_what_steps_cost(bench: Callable) -> None:
    text = (
        HEAD
        + "@rw.step\ndef a():\n    x = bytearray(60 << 20)\n    return sum(i * i for i in range(200_000)) + len(x)\n"
    )
    project = bench({"pipeline.py": text, "roadworthy.toml": '[project]\nname = "s"\n[params]\nseed = 11\n'})
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True, timeout=30)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "add", "."], cwd=project.root, check=True, timeout=30)
    subprocess.run([*git, "commit", "-qm", "one"], cwd=project.root, check=True, timeout=30)
    run = project.run()
    assert re.fullmatch(r"[0-9a-f]{40}", run.code.commit)
    assert not run.code.dirty
    assert run.seed == 11
    assert run.environment.packages["numpy"]
    assert len(run.environment.lock) == 64
    step = run.step("a")
    assert step.wall_s >= 0.0
    assert step.cpu_s > 0.0
    assert step.memory_peak_mb > 60
    project.write({"extra.py": "x = 1\n", "pipeline.py": text + "# more\n"})
    dirty = project.run(force=True)
    assert dirty.code.dirty
    diff = project.store.blobs.get(dirty.code.diff).decode()
    assert "+# more" in diff
    assert "extra.py" in diff


def test_random_numbers_come_from_the_seed(bench: Callable) -> None:
    text = HEAD + (
        "import random\n"
        "@rw.step\ndef a(): return random.random()\n@rw.step\ndef b(): return random.random()\n"
        "@rw.step\ndef c():\n    import numpy as np\n    return float(np.random.rand())\n"
        "@rw.step\ndef d(): return list({'x', 'y', 'z', 'w', 'v'})\n"
    )
    project = bench({"pipeline.py": text, "roadworthy.toml": '[project]\nname = "s"\n[params]\nseed = 1\n'})
    first, second = project.run(force=True), project.run(force=True)
    values = [[project.value(run, s) for s in "abcd"] for run in (first, second)]
    assert values[0] == values[1]
    assert values[0][0] != values[0][1]
    third = project.run(settings=("seed=2",))
    assert project.value(third, "a") != values[0][0]


def test_parts_of_a_pipeline(bench: Callable) -> None:
    project = bench({"pipeline.py": steps("a(): return 1", "b(a): return a", "c(b): return b", "d(): return 4")})
    run = project.run(only="b")
    assert project.statuses(run) == {"a": "ran", "b": "ran"}
    assert project.statuses(project.run(only="b", force=True)) == {"a": "reused", "b": "ran"}
    assert project.statuses(project.run()) == {"a": "reused", "b": "reused", "d": "ran", "c": "ran"}
    again = project.run(start_from="b")
    assert project.statuses(again) == {"a": "reused", "b": "ran", "c": "ran", "d": "reused"}
    assert again.step("b").why == "asked for: --from b"
    with pytest.raises(Fault, match="no step called `bb`"):
        project.run(only="bb")
    with pytest.raises(Fault, match="does not need"):
        project.run(only="d", start_from="a")


def test_a_step_without_cache_runs_every_time(bench: Callable) -> None:
    project = bench({"pipeline.py": HEAD + "@rw.step(cache=False)\ndef a(): return 1\n@rw.step\ndef b(a): return a\n"})
    project.run()
    assert project.statuses(project.run()) == {"a": "ran", "b": "reused"}


def test_a_broken_contract_stops_the_run_and_a_warning_does_not(bench: Callable) -> None:
    toml = (
        '[project]\nname = "s"\n[data.orders]\npath = "orders.csv"\n[data.orders.contract.columns]\n'
        'x = {{ type = "integer", min = 0, level = "{level}" }}\nwho = {{ type = "string", sensitive = true }}\n'
    )
    files = {"orders.csv": "x,who\n1,ann\n-2,bob\n", "pipeline.py": steps("n(orders): return len(orders)")}
    project = bench({**files, "roadworthy.toml": toml.format(level="error")})
    with pytest.raises(Fault) as caught:
        project.run()
    assert caught.value.code is Code.REFUSED
    assert caught.value.what == "the data breaks its contract: orders: x: range"
    broken = next(f for f in caught.value.detail["findings"] if not f["passed"])
    assert (broken["failed"], broken["total"]) == (1, 2)
    assert "bob" not in json.dumps(broken)
    assert runs.get(project.store, caught.value.detail["run"]).status == "failed"
    project.write({"roadworthy.toml": toml.format(level="warn")})
    run = project.run()
    assert run.status == "finished"
    assert any("warning" in line for line in project.lines)


def test_a_source_function_is_asked_when_anything_about_it_has_changed(bench: Callable, clock: SimulatedClock) -> None:
    source = "import pandas as pd\ndef orders(rate):\n    return pd.DataFrame({'x': [rate]})\n"
    toml = '[project]\nname = "s"\n[data.orders]\npython = "source:orders"\n[params]\nrate = 1\nother = 1\n'
    project = bench(
        {"source.py": source, "pipeline.py": steps("n(orders): return int(orders['x'][0])"), "roadworthy.toml": toml}
    )
    first = project.run()
    clock.set(clock.now() + 10)
    assert project.run().id == first.id
    project.write({"source.py": source.replace("[rate]", "[rate + 1]")})
    assert project.value(project.run(), "n") == 2
    assert project.value(project.run(settings=("rate=5",)), "n") == 6
    project.write({"source.py": source.replace("rate)", "now, rate)").replace("[rate]", "[int(now.timestamp())]")})
    assert project.value(project.run(), "n") == int(clock.now())
    clock.set(clock.now() + 10)
    assert project.value(project.run(), "n") == int(clock.now())
    project.write({"source.py": source.replace("pd.DataFrame", "pd.DataFame")})
    with pytest.raises(Fault) as caught:
        project.run()
    assert "AttributeError" in caught.value.what
    assert caught.value.where == "source.py:3"


def test_a_source_that_must_be_asked_is_explained_as_it_was_last(bench: Callable, clock: SimulatedClock) -> None:
    source = "import pandas as pd\ndef orders(now):\n    return pd.DataFrame({'x': [1]})\n"
    toml = '[project]\nname = "s"\n[data.orders]\npython = "source:orders"\n[params]\nrate = 1\n'
    text = steps("n(orders): return int(orders['x'][0])", "m(n, rate): return n + rate")
    project = bench({"source.py": source, "pipeline.py": text, "roadworthy.toml": toml})
    assert project.why() == {
        "n": "wait: runs if orders comes out differently", "m": "wait: runs if n comes out differently",
    }  # fmt: skip
    project.run()
    clock.set(clock.now() + 10)
    assert {name: why.partition(":")[0] for name, why in project.why().items()} == {"n": "reuse", "m": "reuse"}
    assert project.why(settings=("rate=2",))["m"] == "run: params.rate 1 -> 2"
    found = runner.explain(project.store, project.place)
    [snapshot] = snapshots.listing(project.store, "s", "orders")
    assert found.data == {"orders": f"asked when it runs; here as it was last ({snapshot.id[:12]})"}


def test_the_text_that_was_analysed_is_the_text_that_runs(bench: Callable) -> None:
    """A step that changes a module's file while the run is under way does not change what later steps run."""
    text = HEAD + (
        "from pathlib import Path\n"
        "@rw.step\ndef a():\n    Path('h.py').write_text('def f(): return 2\\n')\n    return 1\n"
        "@rw.step\ndef b(a):\n    from h import f\n    return f()\n"
    )
    project = bench({"pipeline.py": text, "h.py": "def f(): return 1\n"})
    assert project.value(project.run(), "b") == 1
    assert project.value(project.run(), "b") == 2


def test_one_run_of_a_project_at_a_time(bench: Callable) -> None:
    project = bench({"pipeline.py": steps("a(): return 1")})
    with locks.held(project.store, "run:shop", now=time.time()), pytest.raises(Fault) as caught:
        project.run()
    assert caught.value.code is Code.CONFLICT
    assert "being run already" in caught.value.what


def test_independent_steps_run_side_by_side(bench: Callable) -> None:
    meet = (
        "{name}():\n    import time\n    from pathlib import Path\n    Path('{name}.here').touch()\n"
        "    end = time.monotonic() + 20\n    while not Path('{other}.here').exists():\n"
        "        assert time.monotonic() < end, 'alone'\n        time.sleep(0.01)\n    return 1\n"
    )
    text = steps(meet.format(name="a", other="b"), meet.format(name="b", other="a"))
    toml = '[project]\nname = "s"\n[pipeline]\nworkers = 2\n'
    assert bench({"pipeline.py": text, "roadworthy.toml": toml}).run().status == "finished"


def test_a_step_whose_process_dies_is_said_to_have_died(bench: Callable) -> None:
    project = bench(
        {
            "pipeline.py": steps(
                "a():\n    import os\n    os.kill(os.getpid(), 9)\n", "b():\n    import os\n    os._exit(3)\n"
            )
        }
    )
    run = project.run()
    assert run.step("a").error == "its process was killed (SIGKILL): the machine may be short of memory"
    assert run.step("b").error == "its process ended (3) without a result"


def test_what_cannot_be_kept_is_named(bench: Callable) -> None:
    project = bench({"pipeline.py": steps("a(): return object()", "b():\n    yield 1", "c(): return (x for x in [])")})
    run = project.run()
    assert "what the step `a` returned cannot be kept" in run.step("a").error
    assert "yields" in run.step("b").error
    assert run.step("c").status == "failed"


def test_a_module_that_cannot_be_imported_fails_with_its_line(bench: Callable) -> None:
    run = bench({"pipeline.py": HEAD + "import nothing_of_the_kind\n@rw.step\ndef a(): return 1\n"}).run()
    assert run.step("a").error.startswith("ModuleNotFoundError")
    assert 'pipeline.py", line 2' in run.step("a").error


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_run_leaves_no_process_and_is_taken_up_again(end: int, bench: Callable) -> None:
    slow = (
        "slow(quick):\n    import os, time, subprocess\n    from pathlib import Path\n"
        "    child = subprocess.Popen(['sleep', '300'])\n"
        "    Path('pids.txt').write_text(f'{os.getpid()} {child.pid}')\n    time.sleep(300)\n"
    )
    project = bench({"pipeline.py": steps("quick(): return 1", slow)})
    command = [sys.executable, "-m", "roadworthy.faces.cli.main", "run"]
    process = subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    pids = project.root / "pids.txt"
    deadline = time.monotonic() + 60
    while not (pids.exists() and pids.read_text()):
        assert time.monotonic() < deadline, process.communicate()
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(end)
    process.communicate(timeout=30)
    for pid in map(int, pids.read_text().split()):
        while is_alive(pid):
            assert time.monotonic() < deadline, f"process {pid} outlived the run"
            time.sleep(0.02)
    project.write({"pipeline.py": steps("quick(): return 1", "slow(quick): return 2")})
    with open_store(project.root / ".roadworthy") as store:
        project.store = store
        killed = runs.get(store, "latest")
        assert killed.status == "killed"
        assert project.statuses(killed) == {"quick": "ran"}
        run = project.run()
        assert project.lines[0] == f"run {killed.id[:12]} was killed; the 1 steps that it finished are kept"
        assert project.statuses(run) == {"quick": "reused", "slow": "ran"}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_nothing_heavy_is_imported_when_nothing_has_to_run(bench: Callable) -> None:
    project = bench({"pipeline.py": steps("a(): return 1", "b(a): return a")})
    command = [sys.executable, "-X", "importtime", "-m", "roadworthy.faces.cli.main", "run"]
    for _ in range(2):
        done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, timeout=120, check=True)
    assert "nothing to do" in done.stdout
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert not loaded & {
        "numpy",
        "pandas",
        "pyarrow",
        "duckdb",
        "sklearn",
        "scipy",
        "cryptography",
        "cel",
        "rich",
        "asyncio",
    }


def test_results_are_not_reused_when_their_blobs_are_gone(bench: Callable) -> None:
    project = bench({"pipeline.py": steps("a(): return {'x': 1}", "b(): return 2")})
    run = project.run()
    path = project.store.blobs.path(run.step("a").output.digest)
    os.chmod(path, 0o600)
    path.unlink()
    assert project.why()["a"] == "run: its stored output is gone"
    again = project.run()
    assert project.statuses(again) == {"a": "ran", "b": "reused"}


def test_code_that_no_version_speaks_for_counts_wherever_it_lies(
    bench: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module found by PYTHONPATH, and what that module imports in turn."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "common_code.py").write_text("from inner_code import f\n")
    (shared / "inner_code.py").write_text("def f(): return 1\n")
    monkeypatch.setenv("PYTHONPATH", str(shared))
    monkeypatch.syspath_prepend(str(shared))
    project = bench({"pipeline.py": HEAD + "from common_code import f\n@rw.step\ndef a(): return f()\n"})
    assert project.value(project.run(), "a") == 1
    (shared / "inner_code.py").write_text("def f(): return 2\n")
    assert project.value(project.run(), "a") == 2


def test_a_library_upgrade_is_a_reason(bench: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    info = site / "tool_kit-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: tool-kit\nVersion: 1.0\n")
    (info / "RECORD").write_text("tool_kit.py,,\n")
    (site / "tool_kit.py").write_text("def f(): return 1\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.syspath_prepend(str(site))
    text = HEAD + "import tool_kit\n@rw.step\ndef a(): return tool_kit.f()\n"
    project = bench({"pipeline.py": text})
    assert project.value(project.run(), "a") == 1
    info.rename(site / "tool_kit-1.9.dist-info")
    (site / "tool_kit.py").write_text("def f(): return 22\n")
    assert project.why() == {"a": "run: tool-kit 1.0 -> 1.9"}
    assert project.value(project.run(), "a") == 22
