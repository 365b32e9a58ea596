"""What a model costs to run: latency, throughput, memory, size, load time; measured, not guessed.

In: a registered model and rows such as it will be sent. Out: numbers. The measuring happens in a process of its own
(`python -m roadworthy.gates.measures.cost FOLDER`), so that nothing else in memory counts, and it runs the code that
serves: a request's values are checked against the signature, made a table, and scored by serving/model.py.
"""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from roadworthy.nouns.errors import Fault, invalid, unavailable
from roadworthy.nouns.model import Model
from roadworthy.registry import runs
from roadworthy.serving import model as served
from roadworthy.serving.signature import align, convert_columns
from roadworthy.store.blobs import Blobs
from roadworthy.store.keys import Keys
from roadworthy.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = 1_000
WARM_UP_CALLS = 20
# a fast model is measured until its time is up, a slow one until it has answered the least number of calls
SINGLE_S, SINGLE_CALLS_MIN, SINGLE_CALLS_MAX = 2.0, 200, 5_000
BATCH_S, BATCH_CALLS_MIN, BATCH_CALLS_MAX = 1.5, 20, 500
# and a very slow one until this, whatever it has answered by then
PATIENCE_S = 5.0
TIMEOUT_S = 120.0
MIB = 1 << 20
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the measuring process is told."""

    home: str
    model: Model


def measure(store: Store, model: Model, rows: Any, *, root: Path | None = None) -> dict[str, float]:
    """Measure what a model costs; takes 4 to 8 seconds.

    Args:
        store: holds the model's bytes.
        model: the registered version.
        rows: a table (pandas or Arrow) with the model's columns; some 1,000 of its rows are used.
        root: the project's folder, from which the model's own classes are imported, if it has any.

    Returns:
        `p50_ms`, `p99_ms` of single-row requests, `batch_p50_ms`, `batch_p99_ms` of requests of 1,000 rows,
        `rows_per_s` in such batches, `memory_peak_mb` (MiB over what Python and the libraries take before the model is
        loaded), `memory_mb` (MiB in all), `model_mb` (MiB of the stored model), `load_s`, `train_cpu_s` (CPU seconds
        of the steps of its run, where they are known), `calls`, `batch_calls`.

    Raises:
        Fault: what the model itself refuses; unavailable when measuring takes longer than two minutes.
    """
    if not len(rows):
        raise invalid("there are no rows to measure with", where=model.id)
    with tempfile.TemporaryDirectory(prefix="rw-cost-") as folder:
        here = Path(folder)
        sample = align(rows, model.signature)
        sample = sample.sample(BATCH_ROWS, replace=len(sample) < BATCH_ROWS, random_state=0)
        sample.reset_index(drop=True).to_parquet(here / "rows.parquet", index=False)
        order = _Order(home=str(store.home), model=model)
        (here / "order.json").write_bytes(msgspec.json.encode(order))
        measured = _in_a_process(here, model, root)
    measured["model_mb"] = model.value.size / MIB
    cpu_s = _train_cpu_s(store, model)
    if cpu_s is not None:
        measured["train_cpu_s"] = cpu_s
    return measured


def _in_a_process(folder: Path, model: Model, root: Path | None) -> dict[str, float]:
    # one thread for a prediction, as the server has it by default
    environment = {**dict.fromkeys(THREADS, "1"), **os.environ}
    if root is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "roadworthy.gates.measures.cost", str(folder)],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise unavailable(f"measuring cost took longer than {TIMEOUT_S:.0f} s", where=model.id) from None
    result = folder / "result.json"
    if not result.exists():
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with {done.returncode}"]
        raise invalid(f"the model cannot be measured: {lines[-1]}", where=model.id, detail={"log": lines[-50:]})
    found = msgspec.json.decode(result.read_bytes(), type=dict[str, Any])
    if "fault" in found:
        fault = found["fault"]
        raise invalid(fault["what"], where=fault["where"] or model.id, fix=fault["fix"])
    return {name: float(value) for name, value in found.items()}


def _train_cpu_s(store: Store, model: Model) -> float | None:
    try:
        steps = runs.get(store, model.run).steps
    except Fault:
        return None
    return sum(step.cpu_s for step in steps) if steps else None


def main(folder: Path) -> None:
    """The measuring process: reads `order.json` and `rows.parquet` in `folder`, leaves `result.json`."""
    order = msgspec.json.decode((folder / "order.json").read_bytes(), type=_Order)
    try:
        result: dict[str, Any] = _measure_here(order, folder)
    except Fault as fault:
        result = {"fault": {"what": fault.what, "where": fault.where, "fix": fault.fix}}
    (folder / "result.json").write_bytes(msgspec.json.encode(result))


def _measure_here(order: _Order, folder: Path) -> dict[str, float]:
    import pandas as pd
    import sklearn.pipeline  # noqa: F401 - what any model needs is not the model's cost

    rows = pd.read_parquet(folder / "rows.parquet")
    model = order.model
    columns = {name: msgspec.json.decode(rows[name].to_json(orient="values", date_format="iso")) for name in rows}
    before_mb = _peak_mb()
    started = time.perf_counter()
    home = Path(order.home)
    predictor = served.predictor(Blobs(home / "blobs"), model, keys=Keys(home / "keys"))
    load_s = time.perf_counter() - started
    answer = _answering(predictor, rows, columns)
    single = _time(lambda i: answer(i % len(rows), 1), budget_s=SINGLE_S, calls=(SINGLE_CALLS_MIN, SINGLE_CALLS_MAX))
    batch = _time(lambda _: answer(0, len(rows)), budget_s=BATCH_S, calls=(BATCH_CALLS_MIN, BATCH_CALLS_MAX))
    peak_mb = _peak_mb()
    return {
        "p50_ms": _quantile(single, 0.50) * 1e3,
        "p99_ms": _quantile(single, 0.99) * 1e3,
        "batch_p50_ms": _quantile(batch, 0.50) * 1e3,
        "batch_p99_ms": _quantile(batch, 0.99) * 1e3,
        "rows_per_s": len(rows) / _quantile(batch, 0.50),
        "memory_peak_mb": peak_mb - before_mb,
        "memory_mb": peak_mb,
        "load_s": load_s,
        "calls": len(single),
        "batch_calls": len(batch),
    }


def _answering(
    predictor: served.Predictor, rows: "pd.DataFrame", columns: dict[str, list[Any]]
) -> Callable[[int, int], Any]:
    """A request of `count` rows from row `start` on, answered as the server does: values checked, made a table, scored.

    Hold-out rows that no request could carry (a missing value where training had none) are scored as a table.
    """
    signature = predictor.model.signature

    def request(start: int, count: int) -> Any:
        part = {name: values[start : start + count] for name, values in columns.items()}
        return predictor.predict_aligned(convert_columns(part, signature))

    def table(start: int, count: int) -> Any:
        return predictor.predict(rows.iloc[start : start + count])

    try:
        request(0, len(rows))
    except Fault:
        return table
    return request


def _time(call: Callable[[int], Any], *, budget_s: float, calls: tuple[int, int]) -> list[float]:
    """Seconds of each call, after a warm-up, until the budget is spent and the least number of calls made."""
    began = time.perf_counter()
    for i in range(WARM_UP_CALLS):
        call(i)
        if time.perf_counter() - began > budget_s / 4:
            break
    taken: list[float] = []
    began = time.perf_counter()
    while len(taken) < calls[1]:
        started = time.perf_counter()
        call(len(taken))
        ended = time.perf_counter()
        taken.append(ended - started)
        spent = ended - began
        if (spent > budget_s and len(taken) >= calls[0]) or spent > PATIENCE_S:
            break
    return taken


def _quantile(values: list[float], share: float) -> float:
    """The nearest-rank quantile: a latency that was measured, not one between two."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _peak_mb() -> float:
    """The highest resident memory of this process so far, MiB.

    The kernel's own count for this program: `ru_maxrss` would begin with the parent's.
    """
    try:
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        import psutil

        return float(psutil.Process().memory_info().rss) / MIB


if __name__ == "__main__":
    main(Path(sys.argv[1]))
