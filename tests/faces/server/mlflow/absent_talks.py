"""One request to each endpoint that we answer as MLflow does where nothing of the kind is set up.

Recorded from `mlflow server` with MLFLOW_ENABLE_AI_GATEWAY=false and MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false.
"""

import re

from roadworthy.faces.server.mlflow import coverage
from tests.faces.server.mlflow.talk import Step

# It fills the server.
LEFT_OUT = ("/demo/generate",)
_NAMED = re.compile(r"\{\w+(:path)?\}")


def _steps() -> list[Step]:
    return [
        Step(each.method, _NAMED.sub("x", each.path), None if each.method == "GET" else {})
        for group in coverage.groups()
        for each in coverage.states(group)
        if each.state == "as unconfigured" and not each.path.endswith(LEFT_OUT)
    ]


ALL = {"not offered": _steps()}
