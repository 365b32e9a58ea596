"""The stage: plays every scene of a program in MLflow's own environment, and prints what became of each.

A scene is a public function of the program; it fails by raising. They are played in the order in which they stand, in
one process, as importing MLflow takes seconds.
"""

import importlib
import json
import sys
import time
import traceback
import types


def play(program: str) -> None:
    """Play a program; the last line is JSON, scene to its failure or nothing."""
    module = importlib.import_module(program)
    became: dict[str, str] = {}
    for name, scene in list(vars(module).items()):
        if (
            name.startswith("_")
            or getattr(scene, "__module__", "") != program
            or not isinstance(scene, types.FunctionType)
        ):
            continue
        began = time.perf_counter()
        try:
            scene()
            became[name] = ""
        except Exception:
            became[name] = traceback.format_exc()
        print(f"{name}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    print(json.dumps(became))


def refused(code, what, call, *arguments, **named):
    """Hold that MLflow's client raises its own exception with this code (or HTTP status) and these words."""
    from mlflow.exceptions import MlflowException

    try:
        call(*arguments, **named)
    except MlflowException as problem:
        raised = problem
    else:
        raise AssertionError(f"{call} was not refused")
    assert code in (raised.error_code, str(raised.get_http_status_code())), f"{raised.error_code}: {raised}"
    assert what in str(raised), str(raised)
