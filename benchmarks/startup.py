"""How long the command line takes to say its version and its help: medians of whole processes, compiled files warm.

The commands take turns, so that a busy moment of the machine falls on all of them alike. Metaflow has no `--version`;
its `--help` stands for it.
"""

import statistics
from pathlib import Path
from typing import Any

from benchmarks.frame import our, timed

TITLE = "Start-up"
PEERS = ["dvc", "mlflow", "metaflow"]
ASKED = {"dvc": "--version", "mlflow": "--version", "metaflow": "--help"}

RUNS = 20


def measure(work: Path, peers: Any) -> list[dict[str, Any]]:
    """Median, least and greatest seconds of each command, and how many times ours goes into its median."""
    commands = {"rw --version": [our(), "--version"], "rw --help": [our(), "--help"]}
    commands |= {f"{peer} {option}": [peers.program(peer), option] for peer, option in ASKED.items()}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(RUNS + 1):
        for name, command in commands.items():
            took = timed(command, cwd=work)
            if turn:  # the first warms the caches
                times[name].append(took)
    ours = statistics.median(times["rw --version"])
    return [
        {
            "command": name,
            "median": statistics.median(taken),
            "least": min(taken),
            "greatest": max(taken),
            "ratio": f"{statistics.median(taken) / ours:.1f}",
        }
        for name, taken in times.items()
    ]
