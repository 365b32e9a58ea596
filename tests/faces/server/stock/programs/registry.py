"""The registry, prompts and traces as MLflow's clients use them."""

import contextlib
import warnings

import mlflow
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource, SpanType
from scenes import refused

warnings.filterwarnings("ignore")
client = MlflowClient()


def _version(name):
    with mlflow.start_run() as run:
        mlflow.log_text("weights", "model/weights.txt")
    return client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id, tags={"made": "here"})


def versions_are_numbered_tagged_and_aliased():
    client.create_registered_model("cat", tags={"team": "a"}, description="purrs")
    refused("RESOURCE_ALREADY_EXISTS", "", client.create_registered_model, "cat")
    refused("RESOURCE_DOES_NOT_EXIST", "", client.get_registered_model, "nobody")
    assert [_version("cat").version for _ in range(3)] == ["1", "2", "3"] or [
        v.version for v in client.search_model_versions("name = 'cat'")
    ] == ["3", "2", "1"]
    client.set_registered_model_alias("cat", "champion", 1)
    client.set_registered_model_alias("cat", "champion", 2)
    client.set_registered_model_alias("cat", "old", 1)
    assert str(client.get_model_version_by_alias("cat", "champion").version) == "2"
    assert {k: str(v) for k, v in client.get_registered_model("cat").aliases.items()} == {"champion": "2", "old": "1"}
    client.delete_registered_model_alias("cat", "old")
    refused("INVALID_PARAMETER_VALUE", "", client.get_model_version_by_alias, "cat", "old")
    client.set_model_version_tag("cat", "1", "checked", "yes")
    assert client.get_model_version("cat", "1").tags == {"made": "here", "checked": "yes"}
    client.delete_model_version_tag("cat", "1", "made")
    client.update_model_version("cat", "1", description="the first")
    got = client.get_model_version("cat", "1")
    assert got.tags == {"checked": "yes"}
    assert got.description == "the first"
    client.set_registered_model_tag("cat", "q", "w")
    client.delete_registered_model_tag("cat", "team")
    client.update_registered_model("cat", description="meows")
    model = client.get_registered_model("cat")
    assert model.tags == {"q": "w"}
    assert model.description == "meows"
    found = client.search_model_versions("name = 'cat' and tags.checked = 'yes'")
    assert [str(v.version) for v in found] == ["1"]
    assert [m.name for m in client.search_registered_models("name LIKE 'c%' and tags.q = 'w'")] == ["cat"]
    client.delete_model_version("cat", "1")
    refused("RESOURCE_DOES_NOT_EXIST", "", client.get_model_version, "cat", "1")


def versions_move_through_stages():
    client.create_registered_model("staged")
    for _ in range(2):
        _version("staged")
    assert client.get_model_version("staged", "1").current_stage == "None"
    client.transition_model_version_stage("staged", "1", "Production")
    client.transition_model_version_stage("staged", "2", "Production", archive_existing_versions=True)
    assert client.get_model_version("staged", "1").current_stage == "Archived"
    assert [str(v.version) for v in client.get_latest_versions("staged", ["Production"])] == ["2"]
    refused("INVALID_PARAMETER_VALUE", "", client.transition_model_version_stage, "staged", "1", "Nowhere")


def models_are_renamed_copied_and_deleted():
    client.create_registered_model("before")
    _version("before")
    client.set_registered_model_alias("before", "a", 1)
    client.rename_registered_model("before", "after")
    refused("RESOURCE_DOES_NOT_EXIST", "", client.get_registered_model, "before")
    assert str(client.get_model_version_by_alias("after", "a").version) == "1"
    copy = client.copy_model_version("models:/after/1", "copied")
    assert (copy.name, str(copy.version)) == ("copied", "1")
    assert copy.tags["made"] == "here"
    assert copy.source == "models:/after/1"
    assert client.get_model_version_download_uri("copied", "1") == client.get_model_version_download_uri("after", "1")
    again = client.copy_model_version("models:/after@a", "copied")
    assert str(again.version) == "2"
    client.delete_registered_model("after")
    assert client.search_model_versions("name = 'after'") == []
    assert [m.name for m in client.search_registered_models("name = 'after'")] == []


def many_models_are_searched_by_pages():
    for i in range(30):
        client.create_registered_model(f"paged-{i:02}")
    seen, token = [], None
    while True:
        page = client.search_registered_models(
            "name LIKE 'paged-%'", max_results=7, order_by=["name DESC"], page_token=token
        )
        seen += [m.name for m in page]
        token = page.token
        if not token:
            break
    assert seen == [f"paged-{i:02}" for i in reversed(range(30))]
    assert len(mlflow.search_registered_models(filter_string="name LIKE 'paged-%'", max_results=100)) == 30


def prompts_are_versioned():
    first = mlflow.genai.register_prompt(
        "greet", template="Hello {{name}}", commit_message="one", tags={"lang": "en"}, model_config={"temperature": 0.5}
    )
    second = mlflow.genai.register_prompt(
        "greet", template=[{"role": "system", "content": "Be kind to {{name}}"}], commit_message="two"
    )
    assert (first.version, second.version) == (1, 2)
    mlflow.genai.set_prompt_alias("greet", alias="live", version=1)
    live = mlflow.genai.load_prompt("prompts:/greet@live")
    assert live.format(name="you") == "Hello you"
    assert live.version == 1
    assert live.commit_message == "one"
    assert mlflow.genai.load_prompt("greet", version=2).template[0]["content"] == "Be kind to {{name}}"
    assert [p.name for p in mlflow.genai.search_prompts()] == ["greet"]
    assert "greet" not in [m.name for m in client.search_registered_models()]
    client.set_prompt_version_tag("greet", "1", "ok", "yes")
    assert client.get_prompt_version("greet", "1").tags["ok"] == "yes"
    mlflow.genai.delete_prompt_alias("greet", alias="live")
    assert mlflow.genai.load_prompt("nobody", allow_missing=True) is None


@mlflow.trace(span_type=SpanType.RETRIEVER, attributes={"k": 2})
def _retrieve(question):
    return [question[::-1]]


@mlflow.trace
def _answer(question):
    with mlflow.start_span("inside") as span:
        span.set_inputs({"q": question})
        span.set_outputs("fine")
    if question == "fail":
        raise ValueError(question)
    mlflow.update_current_trace(tags={"topic": question}, metadata={"mlflow.trace.session": "s1"})
    return _retrieve(question)[0]


def traces_are_kept_with_every_span():
    experiment = mlflow.set_experiment("traces")
    for question in ("abc", "xyz"):
        _answer(question)
    with contextlib.suppress(ValueError):
        _answer("fail")
    last = mlflow.get_last_active_trace_id()
    mlflow.flush_trace_async_logging()
    found = mlflow.search_traces(locations=[experiment.experiment_id], return_type="list")
    assert len(found) == 3
    by_topic = {t.info.tags.get("topic"): t for t in found}
    trace = by_topic["abc"]
    assert [s.name for s in trace.data.spans] == ["_answer", "inside", "_retrieve"]
    assert trace.data.spans[0].outputs == "cba"
    assert trace.data.spans[2].span_type == SpanType.RETRIEVER
    assert trace.data.spans[2].parent_id == trace.data.spans[0].span_id
    assert trace.info.trace_metadata["mlflow.trace.session"] == "s1"
    failed = mlflow.get_trace(last)
    assert failed.info.state == "ERROR"
    assert failed.data.spans[0].events[0].name == "exception"
    bad = mlflow.search_traces(
        locations=[experiment.experiment_id], filter_string="trace.status = 'ERROR'", return_type="list"
    )
    assert [t.info.trace_id for t in bad] == [last]
    frame = mlflow.search_traces(locations=[experiment.experiment_id], filter_string="tags.topic = 'xyz'")
    assert len(frame) == 1
    assert frame["response"][0] == "zyx"


def traces_are_assessed_tagged_and_deleted():
    experiment = mlflow.set_experiment("assessed")
    _answer("judge me")
    trace = mlflow.get_last_active_trace_id()
    mlflow.flush_trace_async_logging()
    source = AssessmentSource(source_type="HUMAN", source_id="me")
    given = mlflow.log_feedback(trace_id=trace, name="good", value=True, source=source, rationale="because")
    mlflow.log_expectation(trace_id=trace, name="answer", value={"a": 1}, source=source)
    got = mlflow.get_trace(trace).info.assessments
    assert {a.name: a.value for a in got} == {"good": True, "answer": {"a": 1}}
    newer = mlflow.override_feedback(trace_id=trace, assessment_id=given.assessment_id, value=False, rationale="no")
    assert mlflow.get_assessment(trace, newer.assessment_id).value is False
    mlflow.delete_assessment(trace_id=trace, assessment_id=newer.assessment_id)
    mlflow.set_trace_tag(trace, "k", "v")
    assert mlflow.get_trace(trace).info.tags["k"] == "v"
    mlflow.delete_trace_tag(trace, "k")
    found = mlflow.search_traces(
        locations=[experiment.experiment_id], filter_string="feedback.good = 'true'", return_type="list"
    )
    assert [t.info.trace_id for t in found] == [trace]
    assert client.delete_traces(experiment.experiment_id, trace_ids=[trace]) == 1
    assert len(mlflow.search_traces(locations=[experiment.experiment_id])) == 0


def evaluation_datasets_grow_and_are_read():
    from mlflow.genai.datasets import create_dataset, get_dataset, search_datasets

    experiment = mlflow.set_experiment("questions")
    made = create_dataset(name="qa", experiment_id=experiment.experiment_id, tags={"v": "1"})
    made.merge_records([{"inputs": {"q": str(i)}, "expectations": {"a": i}} for i in range(3)])
    made.merge_records([{"inputs": {"q": "0"}, "expectations": {"a": 10}}])
    frame = get_dataset(dataset_id=made.dataset_id).to_df()
    assert sorted(e["a"] for e in frame["expectations"]) == [1, 2, 10]
    assert [d.name for d in search_datasets(experiment_ids=[experiment.experiment_id])] == ["qa"]
