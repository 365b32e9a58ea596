"""Runs as MLflow's clients log and find them: fluent and MlflowClient."""

import math
import time
from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from scenes import refused

client = MlflowClient()
MANY = 1_050


def fluent_runs_keep_what_was_logged():
    experiment = mlflow.set_experiment("fluent")
    mlflow.set_experiment_tag("owner", "me")
    with mlflow.start_run(run_name="first", tags={"a": "1"}, description="why") as run:
        assert mlflow.active_run().info.run_id == run.info.run_id
        mlflow.log_param("depth", 3)
        mlflow.log_params({"criterion": "gini", "path": "a/b c"})
        mlflow.log_metric("loss", 0.5)
        mlflow.log_metrics({"acc": 0.25, "deep/name": -1.5}, step=4)
        for step in range(20):
            mlflow.log_metric("curve", step * 0.5, step=step)
        mlflow.log_metrics({"nan": math.nan, "inf": math.inf, "minus": -math.inf})
        mlflow.set_tags({"b": "2", "ünï": "köde"})
        mlflow.set_tag("gone", "x")
        mlflow.delete_tag("gone")
    got = mlflow.get_run(run.info.run_id)
    assert got.info.status == "FINISHED"
    assert got.info.run_name == "first"
    assert got.info.experiment_id == experiment.experiment_id
    assert got.info.end_time >= got.info.start_time
    assert got.data.params == {"depth": "3", "criterion": "gini", "path": "a/b c"}
    m = got.data.metrics
    assert (m["loss"], m["acc"], m["deep/name"], m["curve"]) == (0.5, 0.25, -1.5, 9.5)
    assert math.isnan(m["nan"])
    assert m["inf"] > 1e308
    assert m["minus"] < -1e308
    assert got.data.tags["b"] == "2"
    assert got.data.tags["ünï"] == "köde"
    assert "gone" not in got.data.tags
    assert got.data.tags["mlflow.note.content"] == "why"
    assert got.data.tags["mlflow.source.type"]
    points = client.get_metric_history(run.info.run_id, "curve")
    assert [(p.step, p.value) for p in points] == [(i, i * 0.5) for i in range(20)]
    assert mlflow.get_experiment(experiment.experiment_id).tags["owner"] == "me"
    assert mlflow.last_active_run().info.run_id == run.info.run_id
    try:
        with mlflow.start_run() as broken:
            raise KeyError("on purpose")
    except KeyError:
        assert mlflow.get_run(broken.info.run_id).info.status == "FAILED"
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_metric("later", 1)
    assert mlflow.get_run(run.info.run_id).data.metrics["later"] == 1.0


def the_client_manages_experiments_and_runs():
    name = "managed"
    experiment = client.create_experiment(name, tags={"k": "v"})
    assert client.get_experiment_by_name(name).tags["k"] == "v"
    client.rename_experiment(experiment, "managed-again")
    assert client.get_experiment(experiment).name == "managed-again"
    found = client.search_experiments(filter_string="name LIKE 'managed%' AND tags.k = 'v'")
    assert [e.experiment_id for e in found] == [experiment]
    run = client.create_run(experiment, start_time=1_000, tags={"t": "u"}, run_name="made")
    assert run.info.start_time == 1_000
    assert run.info.status == "RUNNING"
    now = int(time.time() * 1000)
    client.log_batch(
        run.info.run_id,
        metrics=[Metric("m", float(i), now + i, i) for i in range(1_000)],
        params=[],
        tags=[],
    )
    client.log_batch(run.info.run_id, params=[Param(f"p{i}", str(i)) for i in range(100)], tags=[RunTag("x", "y")])
    client.update_run(run.info.run_id, status="FINISHED", name="renamed")
    client.set_terminated(run.info.run_id, "KILLED", end_time=now)
    got = client.get_run(run.info.run_id)
    assert got.info.status == "KILLED"
    assert got.info.end_time == now
    assert got.info.run_name == "renamed"
    assert len(got.data.params) == 100
    assert got.data.metrics["m"] == 999.0
    assert len(client.get_metric_history(run.info.run_id, "m")) == 1_000
    client.delete_run(run.info.run_id)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    assert client.search_runs([experiment]) == []
    assert len(client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)) == 1
    client.restore_run(run.info.run_id)
    assert len(client.search_runs([experiment])) == 1
    client.delete_experiment(experiment)
    assert client.get_experiment(experiment).lifecycle_stage == "deleted"
    client.restore_experiment(experiment)
    assert client.get_experiment(experiment).lifecycle_stage == "active"


def nested_runs_are_found_by_their_parent():
    mlflow.set_experiment("nested")
    with mlflow.start_run(run_name="parent") as parent:
        for i in range(3):
            with mlflow.start_run(run_name=f"child-{i}", nested=True) as child:
                mlflow.log_metric("m", i)
                with mlflow.start_run(run_name="leaf", nested=True) as leaf:
                    pass
    found = mlflow.search_runs(
        experiment_names=["nested"], filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    )
    assert sorted(found["tags.mlflow.runName"]) == ["child-0", "child-1", "child-2"]
    assert mlflow.get_parent_run(leaf.info.run_id).info.run_id == child.info.run_id
    assert mlflow.get_parent_run(parent.info.run_id) is None
    late = mlflow.start_run(run_name="late", parent_run_id=parent.info.run_id)
    mlflow.end_run()
    assert mlflow.get_parent_run(late.info.run_id).info.run_id == parent.info.run_id


def a_thousand_runs_are_searched_in_order_and_by_pages():
    experiment = client.create_experiment("many")

    def make(i):
        run = client.create_run(experiment, run_name=f"r{i}", start_time=i + 1)
        client.log_batch(
            run.info.run_id,
            metrics=[Metric("score", float(i % 100), 1, 0)],
            params=[Param("kind", "even" if i % 2 == 0 else "odd"), Param("i", str(i))],
            tags=[RunTag("group", f"g{i % 7}")],
        )

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(make, range(MANY)))
    every = mlflow.search_runs([experiment], order_by=["attributes.start_time ASC"])
    assert len(every) == MANY
    assert list(every["params.i"].astype(int)) == list(range(MANY))
    assert list(mlflow.search_runs([experiment], max_results=3)["params.i"]) == ["1049", "1048", "1047"]
    found = mlflow.search_runs(
        [experiment],
        "metrics.score >= 50 and params.kind = 'odd' and tags.group != 'g3' and attributes.run_name LIKE 'r1%'",
        order_by=["metrics.score DESC", "params.i ASC"],
    )
    frame = every[
        (every["metrics.score"] >= 50)
        & (every["params.kind"] == "odd")
        & (every["tags.group"] != "g3")
        & every["tags.mlflow.runName"].str.startswith("r1")
    ]
    expected = frame.sort_values(["metrics.score", "params.i"], ascending=[False, True])
    assert len(expected) > 10
    assert list(found["run_id"]) == list(expected["run_id"])
    seen, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=97, order_by=["metrics.score DESC"], page_token=token)
        seen += [(r.data.metrics["score"], r.info.run_id) for r in page]
        token = page.token
        if not token:
            break
    assert len(seen) == MANY
    assert len({run for _, run in seen}) == MANY
    assert [score for score, _ in seen] == sorted((score for score, _ in seen), reverse=True)
    listed = mlflow.search_runs([experiment], "attributes.start_time <= 3", output_format="list")
    assert sorted(r.data.params["i"] for r in listed) == ["0", "1", "2"]
    chosen = [listed[0].info.run_id, listed[1].info.run_id]
    some = client.search_runs([experiment], f"attributes.run_id IN ('{chosen[0]}', '{chosen[1]}')")
    assert sorted(r.info.run_id for r in some) == sorted(chosen)
    assert len(mlflow.search_runs(search_all_experiments=True, max_results=MANY + 2)) == MANY + 2


def artifacts_of_every_kind_come_back(folder="made"):
    import pathlib

    mlflow.set_experiment("artifacts")
    here = pathlib.Path(folder)
    (here / "deep").mkdir(parents=True, exist_ok=True)
    (here / "a.bin").write_bytes(bytes(range(256)) * 9_000)
    (here / "deep" / "b b.txt").write_text("b")
    pixels = np.arange(64 * 48 * 3, dtype=np.uint8).reshape(48, 64, 3)
    with mlflow.start_run() as run:
        mlflow.log_text("<b>ünï</b>", "notes/x.html")
        mlflow.log_dict({"a": [1, 2.5, None], "ü": {"b": True}}, "data.json")
        mlflow.log_dict({"a": 1}, "data.yaml")
        figure, axes = plt.subplots()
        axes.plot([1, 2, 3])
        mlflow.log_figure(figure, "plots/line.png")
        mlflow.log_image(pixels, "pixels.png")
        mlflow.log_image(pixels, key="dogs", step=3)
        mlflow.log_artifact(str(here / "a.bin"), "single")
        mlflow.log_artifacts(str(here), "folder")
    base = f"runs:/{run.info.run_id}"
    assert mlflow.artifacts.load_text(f"{base}/notes/x.html") == "<b>ünï</b>"
    assert mlflow.artifacts.load_dict(f"{base}/data.json") == {"a": [1, 2.5, None], "ü": {"b": True}}
    assert mlflow.artifacts.load_image(f"{base}/plots/line.png").size == (640, 480)
    assert np.array_equal(np.asarray(mlflow.artifacts.load_image(f"{base}/pixels.png")), pixels)
    roots = {f.path: f.is_dir for f in client.list_artifacts(run.info.run_id)}
    assert roots == {
        "data.json": False, "data.yaml": False, "folder": True, "images": True, "notes": True, "pixels.png": False,
        "plots": True, "single": True,
    }  # fmt: skip
    assert [(f.path, f.file_size) for f in client.list_artifacts(run.info.run_id, "single")] == [
        ("single/a.bin", 2_304_000)
    ]
    got = pathlib.Path(mlflow.artifacts.download_artifacts(f"{base}/folder", dst_path="got"))
    assert (got / "a.bin").read_bytes() == (here / "a.bin").read_bytes()
    assert (got / "deep" / "b b.txt").read_text() == "b"
    assert len(client.list_artifacts(run.info.run_id, "images")) >= 2
    try:
        mlflow.artifacts.load_text(f"{base}/nothing.txt")
    except MlflowException:
        pass
    else:
        raise AssertionError("a file that is not there was loaded")
    repo = mlflow.artifacts.list_artifacts(artifact_uri=f"{base}/folder/deep")
    assert [f.path for f in repo] == ["deep/b b.txt"], repo


def tables_grow_and_are_loaded():
    mlflow.set_experiment("tables")
    ids = []
    for i in range(2):
        with mlflow.start_run() as run:
            ids.append(run.info.run_id)
            mlflow.log_table({"q": ["a", "b"], "n": [i, i + 1]}, "t.json")
            mlflow.log_table(pd.DataFrame({"q": ["c"], "n": [i + 2]}), "t.json")
    one = mlflow.load_table("t.json", run_ids=[ids[0]])
    assert list(one["q"]) == ["a", "b", "c"]
    assert list(one["n"]) == [0, 1, 2]
    both = mlflow.load_table("t.json", extra_columns=["run_id"])
    assert len(both) == 6
    assert set(both["run_id"]) == set(ids)


def datasets_are_logged_as_inputs():
    mlflow.set_experiment("inputs")
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    data = mlflow.data.from_pandas(frame, source="http://example.com/a.csv", name="small", targets="y")
    array = mlflow.data.from_numpy(np.zeros((3, 2)), name="zeros")
    with mlflow.start_run() as run:
        mlflow.log_input(data, context="training", tags={"part": "1"})
        mlflow.log_input(array, context="testing")
    inputs = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    named = {i.dataset.name: i for i in inputs}
    assert set(named) == {"small", "zeros"}
    assert named["small"].dataset.digest == data.digest
    tags = {t.key: t.value for t in named["small"].tags}
    assert tags == {"mlflow.data.context": "training", "part": "1"}
    again = mlflow.data.get_source(named["small"].dataset)
    assert again.to_dict()["url"] == "http://example.com/a.csv"
    found = mlflow.search_runs(experiment_names=["inputs"], filter_string="dataset.name = 'small'")
    assert list(found["run_id"]) == [run.info.run_id]
    context = mlflow.search_runs(experiment_names=["inputs"], filter_string="dataset.context = 'nothing'")
    assert len(context) == 0


def asynchronous_logging_loses_nothing():
    mlflow.set_experiment("async")
    mlflow.config.enable_async_logging()
    try:
        with mlflow.start_run() as run:
            for step in range(300):
                mlflow.log_metric("m", step, step=step)
            mlflow.log_params({f"p{i}": i for i in range(150)})
            mlflow.set_tags({f"t{i}": i for i in range(50)})
            operation = mlflow.log_metric("last", 1.0, synchronous=False)
            operation.wait()
        mlflow.flush_async_logging()
    finally:
        mlflow.config.enable_async_logging(False)
    got = mlflow.get_run(run.info.run_id)
    assert [p.step for p in client.get_metric_history(run.info.run_id, "m")] == list(range(300))
    assert len(got.data.params) == 150
    assert got.data.tags["t49"] == "49"
    assert got.data.metrics["last"] == 1.0


def system_metrics_arrive():
    mlflow.set_experiment("system")
    mlflow.set_system_metrics_sampling_interval(0.2)
    mlflow.set_system_metrics_samples_before_logging(1)
    mlflow.enable_system_metrics_logging()
    try:
        with mlflow.start_run() as run:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                keys = mlflow.get_run(run.info.run_id).data.metrics
                if sum(k.startswith("system/") for k in keys) >= 5:
                    break
                time.sleep(0.2)
    finally:
        mlflow.disable_system_metrics_logging()
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert metrics["system/cpu_utilization_percentage"] >= 0.0
    assert metrics["system/system_memory_usage_megabytes"] > 0.0


def errors_carry_their_code():
    experiment = client.create_experiment("errors")
    run = client.create_run(experiment).info.run_id
    refused("RESOURCE_ALREADY_EXISTS", "already exists", client.create_experiment, "errors")
    refused("RESOURCE_DOES_NOT_EXIST", "not found", client.get_run, "0" * 32)
    refused("RESOURCE_DOES_NOT_EXIST", "No Experiment with id=99", client.get_experiment, "99999999")
    assert client.get_experiment_by_name("nobody") is None
    client.log_param(run, "p", "1")
    client.log_param(run, "p", "1")
    refused("INVALID_PARAMETER_VALUE", "Changing param values is not allowed", client.log_param, run, "p", "2")
    refused("INVALID_PARAMETER_VALUE", "Invalid", client.search_runs, [experiment], "metrics.x ~ 3")
    refused("INVALID_PARAMETER_VALUE", "Invalid", client.search_runs, [experiment], order_by=["nothing.x"])
    refused("INVALID_PARAMETER_VALUE", "exceeds the maximum length of 250", client.log_metric, run, "m" * 300, 1.0)
    refused("INVALID_PARAMETER_VALUE", "", client.log_metric, run, "a\nb", 1.0)
    refused("INVALID_PARAMETER_VALUE", "", client.search_runs, [experiment], max_results=50_001)
    client.delete_run(run)
    refused("INVALID_PARAMETER_VALUE", "must be in the 'active' state", client.log_param, run, "q", "1")
    client.delete_experiment(experiment)
    refused("INVALID_PARAMETER_VALUE", "active", client.create_run, experiment)


def values_at_the_limits_are_kept_and_longer_ones_cut():
    run = client.create_run(client.create_experiment("limits")).info.run_id
    client.log_param(run, "p" * 250, "v" * 6_000)
    client.set_tag(run, "t" * 250, "v" * 8_000)
    client.log_metric(run, "m" * 250, 1.0)
    got = client.get_run(run).data
    assert got.params["p" * 250] == "v" * 6_000
    assert got.metrics["m" * 250] == 1.0
    assert got.tags["t" * 250] == "v" * 8_000
    refused("INVALID_PARAMETER_VALUE", "exceeds the maximum length of 250", client.log_param, run, "p" * 251, "v")
    # As MLflow does unless told otherwise, longer values are cut.
    client.log_param(run, "long", "v" * 6_001)
    client.set_tag(run, "long", "v" * 8_001)
    got = client.get_run(run).data
    assert (got.params["long"], got.tags["long"]) == ("v" * 6_000, "v" * 8_000)
    too_many = [Metric("m", 1.0, 1, i) for i in range(1_001)]
    client.log_batch(run, metrics=too_many)  # the client divides it
    assert len(client.get_metric_history(run, "m")) == 1_001
    raw = mlflow.tracking._tracking_service.utils._get_store()
    refused("INVALID_PARAMETER_VALUE", "metrics", raw.log_batch, run, too_many, [], [])
    tags = [RunTag(f"t{i}", "v") for i in range(101)]
    refused("INVALID_PARAMETER_VALUE", "tags", raw.log_batch, run, [], [], tags)
