"""Our answers about experiments, runs, searches and histories against those of MLflow's own server, recorded."""

import json
from pathlib import Path
from typing import Any

import pytest

from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation
from tests.faces.server.mlflow import run_talks, talk
from tests.faces.server.mlflow.talk import Step

RECORDED = json.loads((Path(__file__).parent / "recorded_runs.json").read_text("utf-8"))


@pytest.mark.parametrize("name", run_talks.ALL)
def test_answers_are_those_of_mlflow(any_store: Store, clock: SimulatedClock, name: str) -> None:
    with Conversation(any_store) as conversation:

        def ask(step: Step) -> tuple[int, Any]:
            clock.sleep(1.0)
            headers = {"content-type": "application/json", **step.headers}
            answer = conversation.ask(step.method, step.path, json=step.body, headers=headers)
            return answer.status, talk.decoded(answer.body)

        ours = talk.play(ask, run_talks.ALL[name])
    for place, (step, answered, theirs) in enumerate(zip(run_talks.ALL[name], ours, RECORDED[name], strict=True)):
        assert answered["ask"] == theirs["ask"], f"record {name!r} again: step {place} is another one"
        if theirs["status"] == 500:
            # A defect of theirs; we say what is wrong.
            assert 400 <= answered["status"] < 500, (place, step)
        else:
            assert answered == theirs, (place, step)
