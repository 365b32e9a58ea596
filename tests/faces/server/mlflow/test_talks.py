"""Our answers against those of MLflow's own server, recorded (`python -m tests.faces.server.mlflow.talk URL talks`)."""

import json
from pathlib import Path
from typing import Any

import pytest

from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation
from tests.faces.server.mlflow import chart_talks, legacy_talks, odd_talks, talk, talks
from tests.faces.server.mlflow.talk import Step

HERE = Path(__file__).parent
ALL = {**talks.ALL, **chart_talks.ALL, **legacy_talks.ALL, **odd_talks.ALL}
RECORDED = {
    name: answers
    for file in ("recorded.json", "recorded_charts.json", "recorded_legacy.json", "recorded_odd.json")
    for name, answers in json.loads((HERE / file).read_text("utf-8")).items()
}


@pytest.mark.parametrize("name", ALL)
def test_answers_are_those_of_mlflow(any_store: Store, clock: SimulatedClock, name: str) -> None:
    with Conversation(any_store) as conversation:

        def ask(step: Step) -> tuple[int, Any]:
            clock.sleep(1.0)  # MLflow's rows have moments of their own too
            headers = {"content-type": "application/json", **step.headers}
            answer = conversation.ask(step.method, step.path, json=step.body, headers=headers)
            return answer.status, talk.decoded(answer.body)

        ours = talk.play(ask, ALL[name])
    for place, (step, answered, theirs) in enumerate(zip(ALL[name], ours, RECORDED[name], strict=True)):
        assert answered["ask"] == theirs["ask"], f"record {name!r} again: step {place} is another one"
        if theirs["status"] == 500:
            # A defect of theirs; we say what is wrong.
            assert 400 <= answered["status"] < 500, (place, step)
        else:
            assert answered == theirs, (place, step)
