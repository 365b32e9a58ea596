"""`rw notebook run` beside `papermill` on the same notebook with the same kernel: whole commands, one after the other.

Ours is tracked as a run with the executed notebook as artifact; papermill writes the executed notebook. Both start the
same ipykernel, so that what differs is the command. Two notebooks do next to nothing, so that they show the overhead
alone; one trains for a moment. Turns are taken, so that a busy moment of the machine falls on both; CPU, which a busy
machine changes less, is that of the command and the kernel together.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.frame import our, timed

TITLE = "Running a notebook"
PEERS = ["papermill"]

RUNS = 5
KERNEL = "benchmarked"
NOTEBOOKS = {
    "10 cells that do next to nothing": [f"x{n} = {n}" for n in range(10)],
    "40 cells with outputs": [f"print({n})\n{n}" for n in range(40)],
    "trains on scikit-learn's digits": [
        "from sklearn.datasets import load_digits\nfrom sklearn.linear_model import LogisticRegression",
        "X, y = load_digits(return_X_y=True)",
        "model = LogisticRegression(C=C, max_iter=200).fit(X / 16, y)",
        "print(model.score(X / 16, y))",
    ],
}


def measure(work: Path, peers: Any) -> list[dict[str, Any]]:
    """Median seconds and CPU seconds of each command for each notebook."""
    kernels = work / "jupyter"
    _kernel(kernels / "kernels" / KERNEL)
    environment = {"JUPYTER_PATH": str(kernels)}
    rows = []
    for title, cells in NOTEBOOKS.items():
        notebook = work / "measured.ipynb"
        notebook.write_text(json.dumps(_notebook(["C = 1.0", *cells])))
        commands = {
            "rw notebook run": [our(), "notebook", "run", "measured.ipynb", "--set", "C=2.0", "--out", "ours.ipynb"],
            "papermill": [peers.program("papermill"), "--no-progress-bar", "-p", "C", "2.0", "-k", KERNEL,
                          "measured.ipynb", "theirs.ipynb"],
        }  # fmt: skip
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for turn in range(RUNS + 1):
            for name, command in commands.items():
                took = _timed(command, work, environment)
                if turn:  # the first warms the caches
                    times[name].append(took)
        ours = statistics.median(wall for wall, _ in times["rw notebook run"])
        rows += [
            {
                "notebook": title,
                "command": name,
                "median": statistics.median(wall for wall, _ in taken),
                "least": min(wall for wall, _ in taken),
                "CPU, median": statistics.median(cpu for _, cpu in taken),
                "ratio": f"{statistics.median(wall for wall, _ in taken) / ours:.2f}",
            }
            for name, taken in times.items()
        ]
    return rows


def _timed(command: list[str], work: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command and all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = timed(command, cwd=work, environment=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _notebook(cells: list[str]) -> dict[str, Any]:
    made = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {"tags": ["parameters"]} if n == 0 else {}, "outputs": [],
         "execution_count": None, "source": text}
        for n, text in enumerate(cells)
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _kernel(folder: Path) -> None:
    """The kernel of our environment, under a name that papermill finds; ours is this one anyway."""
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": KERNEL, "language": "python"}))
    subprocess.run([sys.executable, "-c", "import ipykernel"], check=True, env=os.environ)
