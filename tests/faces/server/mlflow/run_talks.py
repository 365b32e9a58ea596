"""Conversations about experiments, runs, what they log, searches and histories: good requests and bad ones."""

from typing import Any
from urllib.parse import urlencode

from tests.faces.server.mlflow.talk import Step

V2 = "/api/2.0/mlflow"
EXPERIMENTS, RUNS = f"{V2}/experiments", f"{V2}/runs"
AT = 1_700_000_000_000
NO_RUN = "0" * 32


def query(path: str, **fields: Any) -> str:
    """A path with a query, of which `{name}` is filled in later."""
    return f"{path}?{urlencode(fields, doseq=True, safe='{}')}"


def post(path: str, **fields: Any) -> Step:
    return Step("POST", path, fields)


def created(name: str, **fields: Any) -> Step:
    return Step("POST", f"{EXPERIMENTS}/create", {"name": name, **fields}, {"group": "experiment_id"})


def begun(group: str = "{group}", keep: str = "run", **fields: Any) -> Step:
    return Step("POST", f"{RUNS}/create", {"experiment_id": group, **fields}, {keep: "run.info.run_id"})


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def points(*rows: tuple[str, Any, int, int]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value, "timestamp": AT + at, "step": step} for key, value, at, step in rows]


EXPERIMENTS_TALK = [
    Step("POST", f"{EXPERIMENTS}/create", {"name": "rain", "tags": pairs(team="ml")}, {"group": "experiment_id"}),
    post(f"{EXPERIMENTS}/create", name=""),
    post(f"{EXPERIMENTS}/create"),
    post(f"{EXPERIMENTS}/create", name="x" * 501),
    post(f"{EXPERIMENTS}/create", name="y", tags=pairs(**{"a*b": "x"})),
    post(f"{EXPERIMENTS}/create", name="y", tags=[{"key": "k" * 251, "value": "x"}]),
    post(f"{EXPERIMENTS}/create", name="y", tags=[{"key": "k", "value": "x" * 20_001}]),
    post(f"{EXPERIMENTS}/create", name="y", artifact_location="runs:/a"),
    Step("GET", query(f"{EXPERIMENTS}/get", experiment_id="{group}")),
    Step("GET", query(f"{EXPERIMENTS}/get", experiment_id="987654")),
    Step("GET", query(f"{EXPERIMENTS}/get", experiment_id="abc")),
    Step("GET", f"{EXPERIMENTS}/get"),
    Step("GET", query(f"{EXPERIMENTS}/get-by-name", experiment_name="rain")),
    Step("GET", query(f"{EXPERIMENTS}/get-by-name", experiment_name="snow")),
    Step("GET", f"{EXPERIMENTS}/get-by-name"),
    Step("GET", query(f"{EXPERIMENTS}/get", experiment_id="0")),
    post(f"{EXPERIMENTS}/set-experiment-tag", experiment_id="{group}", key="team", value="data"),
    post(f"{EXPERIMENTS}/set-experiment-tag", experiment_id="{group}", key="empty", value=""),
    post(f"{EXPERIMENTS}/set-experiment-tag", experiment_id="{group}", key="../up", value=""),
    post(f"{EXPERIMENTS}/set-experiment-tag", experiment_id="{group}", value="x"),
    post(f"{EXPERIMENTS}/set-experiment-tag", experiment_id="987654", key="team", value="data"),
    post(f"{EXPERIMENTS}/delete-experiment-tag", experiment_id="{group}", key="empty"),
    post(f"{EXPERIMENTS}/delete-experiment-tag", experiment_id="{group}", key="empty"),
    post(f"{EXPERIMENTS}/delete-experiment-tag", experiment_id="{group}"),
    post(f"{EXPERIMENTS}/update", experiment_id="{group}", new_name="showers"),
    post(f"{EXPERIMENTS}/update", experiment_id="{group}"),
    post(f"{EXPERIMENTS}/update", experiment_id="987654", new_name="x"),
    Step("GET", query(f"{EXPERIMENTS}/get", experiment_id="{group}")),
    begun(run_name="one", start_time=AT),
    post(f"{EXPERIMENTS}/delete", experiment_id="{group}"),
    post(f"{EXPERIMENTS}/delete", experiment_id="{group}"),
    post(f"{EXPERIMENTS}/delete", experiment_id="987654"),
    Step("GET", query(f"{EXPERIMENTS}/get-by-name", experiment_name="showers")),
    Step("GET", query(f"{RUNS}/get", run_id="{run}")),
    post(f"{EXPERIMENTS}/update", experiment_id="{group}", new_name="later"),
    post(f"{EXPERIMENTS}/set-experiment-tag", experiment_id="{group}", key="team", value="data"),
    post(f"{EXPERIMENTS}/delete-experiment-tag", experiment_id="{group}", key="team"),
    Step("POST", f"{RUNS}/create", {"experiment_id": "{group}"}),
    post(f"{RUNS}/log-metric", run_id="{run}", key="a", value=1.0, timestamp=AT),
    post(f"{EXPERIMENTS}/restore", experiment_id="{group}"),
    post(f"{EXPERIMENTS}/restore", experiment_id="{group}"),
    Step("GET", query(f"{RUNS}/get", run_id="{run}")),
    post(f"{EXPERIMENTS}/create", name="showers-2"),
]

SEARCH_EXPERIMENTS_TALK = [
    created("alpha one", tags=pairs(kind="x")),
    created("beta one", tags=pairs(kind="y", **{"a.b": "z"})),
    created("gamma one"),
    post(f"{EXPERIMENTS}/delete", experiment_id="{group}"),
    *[
        post(f"{EXPERIMENTS}/search", max_results=10, filter=f"name LIKE '%one' AND {condition}", order_by=["name"])
        for condition in (
            "name = 'alpha one'",
            "name != 'alpha one'",
            "name ILIKE 'ALPHA%'",
            "name LIKE 'ALPHA%'",
            "tags.kind = 'x'",
            "tag.kind != 'x'",
            "tags.kind IS NULL",
            "tags.kind IS NOT NULL",
            "tags.`a.b` = 'z'",
            "creation_time > 0",
            "last_update_time >= 1",
            "attribute.name LIKE 'b%'",
            "creation_time > 'x'",
            "creation_time > 1.5",
            "name > 'x'",
            "name IN ('alpha one')",
            "experiment_id = 'abc'",
            "experiment_id > '1'",
            "kind = 'x'",
            "metrics.a = 1",
            "tags.kind > 'x'",
        )
    ],
    post(f"{EXPERIMENTS}/search", max_results=10, filter="name LIKE '%one'", order_by=["name DESC"]),
    post(f"{EXPERIMENTS}/search", max_results=10, filter="name LIKE '%one'", view_type="DELETED_ONLY"),
    post(f"{EXPERIMENTS}/search", max_results=10, filter="name LIKE '%one'", view_type="ALL", order_by=["name ASC"]),
    Step(
        "POST",
        f"{EXPERIMENTS}/search",
        {"max_results": 1, "filter": "name LIKE '%one'", "order_by": ["name"]},
        {"token": "next_page_token"},
    ),
    post(f"{EXPERIMENTS}/search", max_results=1, filter="name LIKE '%one'", order_by=["name"], page_token="{token}"),
    post(f"{EXPERIMENTS}/search", max_results=0),
    post(f"{EXPERIMENTS}/search"),
    post(f"{EXPERIMENTS}/search", max_results=50_001),
    post(f"{EXPERIMENTS}/search", max_results=10, order_by=["kind"]),
    post(f"{EXPERIMENTS}/search", max_results=10, order_by=["name sideways"]),
    post(f"{EXPERIMENTS}/search", max_results=10, order_by=["tags.kind"]),
    post(f"{EXPERIMENTS}/search", max_results=10, page_token="!"),
    Step("GET", query(f"{EXPERIMENTS}/search", max_results=2, filter="name LIKE '%one'", order_by="name")),
]

RUNS_TALK = [
    created("runs"),
    begun(run_name="one", start_time=AT, user_id="ada", tags=pairs(team="ml")),
    Step("GET", query(f"{RUNS}/get", run_id="{run}")),
    Step("GET", query(f"{RUNS}/get", run_uuid="{run}")),
    Step("GET", query(f"{RUNS}/get", run_id=NO_RUN)),
    Step("GET", f"{RUNS}/get"),
    post(f"{RUNS}/create", experiment_id="987654"),
    post(f"{RUNS}/create", experiment_id="abc"),
    post(f"{RUNS}/create", experiment_id="{group}", run_name="a", tags=pairs(**{"mlflow.runName": "b"})),
    begun(keep="tagged", start_time=AT, tags=pairs(**{"mlflow.runName": "b"})),
    post(f"{RUNS}/update", run_id="{run}", run_name="two"),
    post(f"{RUNS}/update", run_id="{run}", status="FINISHED", end_time=AT + 5000),
    post(f"{RUNS}/update", run_id="{run}", status="SCHEDULED"),
    post(f"{RUNS}/update", run_id="{run}", status="RUNNING"),
    post(f"{RUNS}/update", run_uuid="{run}", status="FAILED"),
    post(f"{RUNS}/update", status="FAILED"),
    post(f"{RUNS}/update", run_id=NO_RUN, status="FAILED"),
    Step("GET", query(f"{RUNS}/get", run_id="{run}")),
    post(f"{RUNS}/set-tag", run_id="{run}", key="team", value="data"),
    post(f"{RUNS}/set-tag", run_id="{run}", key="mlflow.runName", value="three"),
    post(f"{RUNS}/set-tag", run_id="{run}", key="empty", value=""),
    post(f"{RUNS}/set-tag", run_id="{run}", key="a*b", value="x"),
    post(f"{RUNS}/set-tag", run_id="{run}", key="../up", value="x"),
    post(f"{RUNS}/set-tag", run_id="{run}", key="k" * 251, value="x"),
    post(f"{RUNS}/set-tag", run_id="{run}", key="k", value="x"),
    post(f"{RUNS}/set-tag", run_id="{run}", value="x"),
    post(f"{RUNS}/set-tag", run_id=NO_RUN, key="k", value="x"),
    post(f"{RUNS}/set-tag", key="k", value="x"),
    post(f"{RUNS}/delete-tag", run_id="{run}", key="empty"),
    post(f"{RUNS}/delete-tag", run_id="{run}", key="empty"),
    post(f"{RUNS}/delete-tag", run_id="{run}"),
    post(f"{RUNS}/log-parameter", run_id="{run}", key="lr", value="0.1"),
    post(f"{RUNS}/log-parameter", run_id="{run}", key="lr", value="0.1"),
    post(f"{RUNS}/log-parameter", run_id="{run}", key="lr", value="0.2"),
    post(f"{RUNS}/log-parameter", run_id="{run}", key="none"),
    post(f"{RUNS}/log-parameter", run_id="{run}", key="a?b", value="x"),
    post(f"{RUNS}/log-parameter", run_id="{run}", key="long", value="x" * 6001),
    post(f"{RUNS}/log-parameter", run_id=NO_RUN, key="lr", value="0.1"),
    post(f"{RUNS}/log-parameter", run_id="{run}", value="0.1"),
    post(f"{RUNS}/log-metric", run_id="{run}", key="loss", value=0.5, timestamp=AT, step=1),
    post(f"{RUNS}/log-metric", run_id="{run}", key="loss", value="NaN", timestamp=AT + 1, step=2),
    post(f"{RUNS}/log-metric", run_uuid="{run}", key="acc", value=1, timestamp=str(AT), step="3"),
    post(f"{RUNS}/log-metric", run_id="{run}", key="loss", value=0.5, timestamp=-1),
    post(f"{RUNS}/log-metric", run_id="{run}", key="loss", value=0.5),
    post(f"{RUNS}/log-metric", run_id="{run}", key="loss", timestamp=AT),
    post(f"{RUNS}/log-metric", run_id="{run}", value=0.5, timestamp=AT),
    post(f"{RUNS}/log-metric", key="loss", value=0.5, timestamp=AT),
    post(f"{RUNS}/log-metric", run_id="{run}", key="lo$$", value=0.5, timestamp=AT),
    post(f"{RUNS}/log-metric", run_id="{run}", key="/loss", value=0.5, timestamp=AT),
    post(f"{RUNS}/log-metric", run_id="{run}", key="k" * 251, value=0.5, timestamp=AT),
    post(f"{RUNS}/log-metric", run_id=NO_RUN, key="loss", value=0.5, timestamp=AT),
    Step("GET", query(f"{RUNS}/get", run_id="{run}")),
    post(f"{RUNS}/delete", run_id="{run}"),
    post(f"{RUNS}/delete", run_id="{run}"),
    post(f"{RUNS}/delete", run_id=NO_RUN),
    post(f"{RUNS}/delete"),
    Step("GET", query(f"{RUNS}/get", run_id="{run}")),
    post(f"{RUNS}/log-metric", run_id="{run}", key="loss", value=0.5, timestamp=AT),
    post(f"{RUNS}/log-parameter", run_id="{run}", key="new", value="0.5"),
    post(f"{RUNS}/set-tag", run_id="{run}", key="new", value="0.5"),
    post(f"{RUNS}/delete-tag", run_id="{run}", key="team"),
    post(f"{RUNS}/log-batch", run_id="{run}", tags=pairs(a="b")),
    post(f"{RUNS}/update", run_id="{run}", status="FINISHED"),
    post(f"{RUNS}/log-inputs", run_id="{run}", datasets=[]),
    post(f"{RUNS}/restore", run_id="{run}"),
    post(f"{RUNS}/restore", run_id="{run}"),
    post(f"{RUNS}/restore", run_id=NO_RUN),
    Step("GET", query(f"{RUNS}/get", run_id="{run}")),
]

BATCHES_TALK = [
    created("batches"),
    begun(run_name="one", start_time=AT),
    post(
        f"{RUNS}/log-batch",
        run_id="{run}",
        metrics=points(("a", 1.0, 0, 0), ("a", 2.0, 1, 1), ("b", 0, 0, 0), ("a", 1.5, 0, 1)),
        params=pairs(lr="0.1", depth="3"),
        tags=pairs(team="ml"),
    ),
    post(f"{RUNS}/log-batch", run_id="{run}", metrics=points(("a", 1.0, 0, 0)), params=pairs(lr="0.1")),
    post(f"{RUNS}/log-batch", run_id="{run}"),
    post(f"{RUNS}/log-batch", run_id="{run}", params=pairs(lr="0.2", depth="4", new="1")),
    post(f"{RUNS}/log-batch", run_id="{run}", params=[*pairs(twice="1"), *pairs(twice="1")]),
    post(f"{RUNS}/log-batch", run_id="{run}", tags=[*pairs(twice="1"), *pairs(twice="2")]),
    post(f"{RUNS}/log-batch", run_id="{run}", metrics=[{"key": "a", "timestamp": AT}]),
    post(f"{RUNS}/log-batch", run_id="{run}", metrics=[{"key": "a", "value": 1.0}]),
    post(f"{RUNS}/log-batch", run_id="{run}", metrics=[{"value": 1.0, "timestamp": AT}]),
    post(f"{RUNS}/log-batch", run_id="{run}", metrics=points(("ok", 1.0, 0, 0), ("b*d", 1.0, 0, 0))),
    post(f"{RUNS}/log-batch", run_id="{run}", metrics=points(("ok", 1.0, 0, 0), ("bad", 1.0, -AT - 1, 0))),
    post(f"{RUNS}/log-batch", run_id="{run}", metrics=points(("k" * 251, 1.0, 0, 0))),
    post(f"{RUNS}/log-batch", run_id="{run}", params=[{"value": "x"}]),
    post(f"{RUNS}/log-batch", run_id="{run}", params=pairs(**{"a/../b": "x"})),
    post(f"{RUNS}/log-batch", run_id="{run}", params=[{"key": "k" * 251, "value": "x"}]),
    post(f"{RUNS}/log-batch", run_id="{run}", tags=[{"value": "x"}]),
    post(f"{RUNS}/log-batch", run_id="{run}", tags=pairs(**{"a:b c/d": "fine"})),
    post(f"{RUNS}/log-batch", run_id="{run}", metrics=points(*[("m", float(i), i, i) for i in range(1001)])),
    post(f"{RUNS}/log-batch", run_id="{run}", params=[{"key": f"p{i}", "value": "x"} for i in range(101)]),
    post(f"{RUNS}/log-batch", run_id="{run}", tags=[{"key": f"p{i}", "value": "x"} for i in range(101)]),
    post(
        f"{RUNS}/log-batch",
        run_id="{run}",
        metrics=points(*[("m", float(i), i, i) for i in range(990)]),
        params=[{"key": f"p{i}", "value": "x"} for i in range(11)],
    ),
    post(f"{RUNS}/log-batch", run_id=NO_RUN, tags=pairs(a="b")),
    post(f"{RUNS}/log-batch", run_id="a b", tags=pairs(a="b")),
    post(f"{RUNS}/log-batch", tags=pairs(a="b")),
    post(f"{RUNS}/log-batch", run_id="{run}", tags=pairs(**{"mlflow.runName": "renamed"})),
    Step("GET", query(f"{RUNS}/get", run_id="{run}")),
    Step("GET", query(f"{V2}/metrics/get-history", run_id="{run}", metric_key="a")),
    Step(
        "GET",
        query(f"{V2}/metrics/get-history", run_id="{run}", metric_key="a", max_results=2),
        None,
        {"token": "next_page_token"},
    ),
    Step(
        "GET", query(f"{V2}/metrics/get-history", run_id="{run}", metric_key="a", max_results=2) + "&page_token={token}"
    ),
    Step("GET", query(f"{V2}/metrics/get-history", run_id="{run}", metric_key="none")),
    Step("GET", query(f"{V2}/metrics/get-history", run_id=NO_RUN, metric_key="a")),
    Step("GET", query(f"{V2}/metrics/get-history", run_id="{run}")),
    Step("GET", query(f"{V2}/metrics/get-history", metric_key="a")),
    Step("GET", query(f"{V2}/metrics/get-history", run_id="{run}", metric_key="a", max_results=0)),
    Step("GET", query(f"{V2}/metrics/get-history", run_id="{run}", metric_key="a", max_results=-3)),
    Step("GET", query(f"{V2}/metrics/get-history", run_id="{run}", metric_key="a", max_results=2, page_token="!")),
    Step("GET", query("/ajax-api/2.0/mlflow/metrics/get-history-bulk", run_id="{run}", metric_key="a")),
    Step("GET", query("/ajax-api/2.0/mlflow/metrics/get-history-bulk", metric_key="a")),
    Step("GET", query("/ajax-api/2.0/mlflow/metrics/get-history-bulk", run_id="{run}")),
    Step("GET", query("/ajax-api/2.0/mlflow/metrics/get-history-bulk", run_id=[NO_RUN] * 101, metric_key="a")),
    *[
        Step("GET", query(f"{V2}/metrics/get-history-bulk-interval", metric_key="a", **more))
        for more in (
            {"run_ids": "{run}"},
            {"run_ids": "{run}", "max_results": 2},
            {"run_ids": "{run}", "start_step": 1, "end_step": 1},
            {"run_ids": "{run}", "start_step": 1},
            {"run_ids": "{run}", "start_step": 2, "end_step": 1},
            {"run_ids": "{run}", "max_results": 0},
            {"run_ids": "{run}", "max_results": 2501},
            {"run_ids": NO_RUN},
            {},
        )
    ],
]

INPUTS_TALK = [
    created("inputs"),
    begun(run_name="one", start_time=AT),
    post(
        f"{RUNS}/log-inputs",
        run_id="{run}",
        datasets=[
            {
                "tags": pairs(**{"mlflow.data.context": "training"}),
                "dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "s", "schema": "{}"},
            },
            {"dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "other"}},
            {"dataset": {"name": "e", "digest": "2", "source_type": "local", "source": "s", "profile": "p"}},
        ],
    ),
    post(
        f"{RUNS}/log-inputs",
        run_id="{run}",
        datasets=[{"dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "s"}}],
    ),
    post(f"{RUNS}/log-inputs", run_id="{run}", datasets=[{"dataset": {"name": "d" * 501, "digest": "1"}}]),
    post(f"{RUNS}/log-inputs", run_id="{run}", datasets=[{"dataset": {"name": "d", "digest": "1" * 37}}]),
    post(f"{RUNS}/log-inputs", run_id=NO_RUN, datasets=[]),
    post(f"{RUNS}/log-inputs", datasets=[]),
    Step("GET", query(f"{RUNS}/get", run_id="{run}")),
    post("/ajax-api/2.0/mlflow/experiments/search-datasets", experiment_ids=["{group}"]),
    post("/ajax-api/2.0/mlflow/experiments/search-datasets"),
    post(f"{RUNS}/log-model", run_id="{run}", model_json='{"artifact_path": "m"}'),
    post(f"{RUNS}/log-model", run_id="{run}", model_json="no"),
    post(f"{RUNS}/log-model", run_id="{run}"),
    *[
        post(f"{RUNS}/search", experiment_ids=["{group}"], filter=condition)
        for condition in (
            "dataset.name = 'd'",
            "datasets.name != 'd'",
            "dataset.digest = '9'",
            "dataset.context = 'training'",
            "dataset.context LIKE 'TR%'",
            "dataset.context ILIKE 'TR%'",
            "dataset.name IN ('d', 'x')",
            "dataset.name NOT IN ('d', 'e')",
            "dataset.kind = 'x'",
            "dataset.name > 'd'",
            "dataset.name = 5",
        )
    ],
]


def _search(condition: str = "", **more: Any) -> Step:
    return post(f"{RUNS}/search", experiment_ids=["{group}"], filter=condition, **more)


CONDITIONS = (
    "metrics.acc > 0.5",
    "metric.acc >= 0.9 and metrics.acc < 1",
    "METRICS.acc > 0.5",
    "metrics.acc != 0.9",
    "metrics.nan > 0",
    "metrics.nan != 0",
    "metrics.nan = 0",
    "metrics.`acc` = 0.9",
    'metrics."acc" = 0.9',
    "metrics.acc > '0.5'",
    "metrics.acc LIKE 0.5",
    "metrics.acc IS NULL",
    "params.lr = '0.1'",
    'params.lr = "0.1"',
    "parameters.lr != '0.1'",
    "param.lr LIKE '0.%'",
    "params.lr ILIKE '0._'",
    "params.opt LIKE 'A%'",
    "params.opt ILIKE 'A%'",
    "params.opt LIKE 'a[d]%'",
    "params.lr > '0.1'",
    "params.lr = 0.1",
    "params.lr IS NULL",
    "params.other IS NOT NULL",
    "params.lr is not null AND params.opt = 'adam'",
    "tags.team = 'ml'",
    "tag.team != 'ml'",
    "tags.`team` LIKE '%'",
    "tags.mlflow.runName = 'two'",
    "tags.team IS NULL",
    "attributes.status = 'FINISHED'",
    "attribute.status != 'FINISHED'",
    "attr.status LIKE 'FIN%'",
    "status = 'RUNNING'",
    "attributes.run_name = 'two'",
    "run_name LIKE 't%'",
    "attributes.`run name` = 'two'",
    "run.run_name ILIKE 'T%'",
    "user_id = 'ada'",
    "start_time > 0",
    f"attributes.start_time >= {AT + 1}",
    f"created < {AT + 1}",
    "end_time > 0",
    "end_time != 5",
    "start_time = '5'",
    "start_time LIKE 5",
    "attributes.run_id = '" + NO_RUN + "'",
    "attributes.run_id IN ('" + NO_RUN + "', '{two}')",
    "attributes.run_id NOT IN ('" + NO_RUN + "', '{two}')",
    "run_id IN ()",
    "status IN ('RUNNING')",
    "artifact_uri LIKE '%/{two}/artifacts'",
    "attributes.lifecycle_stage = 'active'",
    "model.name = 'x'",
    "acc > 0.5",
    "metrics.acc > 0.5 OR metrics.acc < 0.1",
    "metrics.acc",
    "metrics.acc >",
    "metrics.acc > 0.5 AND",
    "metrics.acc ~ 0.5",
    "0.5 < metrics.acc",
    "params.lr = lr",
    "params.lr = `0.1`",
    "tags.team = 'ml' AND metrics.acc > -1e-3 AND params.lr != 'x' AND start_time > 5",
)
ORDERS = (
    ["metrics.acc DESC"],
    ["metrics.acc ASC"],
    ["metrics.acc"],
    ["metric.nan DESC"],
    ["params.lr DESC"],
    ["params.opt"],
    ["tags.team ASC", "metrics.acc DESC"],
    ["attributes.start_time ASC"],
    ["start_time DESC"],
    ["attribute.end_time DESC"],
    ["run_name"],
    ["status DESC", "run_name"],
    ["metrics.`acc` desc"],
    ['metrics."acc" asc'],
    ["Created ASC"],
    ["metrics.none DESC"],
    ["metrics.acc sideways"],
    ["metrics.acc ASC DESC"],
    ["whatever"],
    ["model.x"],
    [""],
    ["metrics.acc", "metric.acc"],
)

SEARCH_TALK = [
    created("search"),
    begun(keep="one", run_name="one", start_time=AT, user_id="ada", tags=pairs(team="ml")),
    begun(keep="two", run_name="two", start_time=AT + 1, user_id="bob", tags=pairs(team="data")),
    begun(keep="three", run_name="three", start_time=AT + 2, user_id=""),
    begun(keep="four", run_name="four", start_time=AT + 3, user_id="ada"),
    post(
        f"{RUNS}/log-batch",
        run_id="{one}",
        metrics=points(("acc", 0.9, 0, 0), ("nan", "NaN", 0, 0)),
        params=pairs(lr="0.1", opt="adam"),
    ),
    post(
        f"{RUNS}/log-batch",
        run_id="{two}",
        metrics=points(("acc", 0.3, 0, 0), ("nan", 0.0, 0, 0)),
        params=pairs(lr="0.5", opt="Adagrad"),
    ),
    post(f"{RUNS}/log-batch", run_id="{three}", metrics=points(("acc", 1.0, 0, 0)), params=pairs(other="1")),
    post(f"{RUNS}/update", run_id="{two}", status="FINISHED", end_time=AT + 100),
    post(f"{RUNS}/delete", run_id="{four}"),
    *[_search(condition) for condition in CONDITIONS],
    *[_search(order_by=order) for order in ORDERS],
    _search(),
    _search(run_view_type="ALL"),
    _search(run_view_type="DELETED_ONLY"),
    _search(run_view_type="ALL", order_by=["metrics.acc DESC"]),
    _search(run_view_type="ACTIVE_ONLY", max_results=50_000),
    _search(max_results=50_001),
    _search(max_results=0),
    _search(max_results=-1),
    _search(page_token="!"),
    post(f"{RUNS}/search", experiment_ids=[]),
    post(f"{RUNS}/search"),
    post(f"{RUNS}/search", experiment_ids=["987654"]),
    post(f"{RUNS}/search", experiment_ids=["abc"]),
    *[
        step
        for order in ([], ["metrics.acc DESC"], ["params.lr"], ["metrics.nan"])
        for step in (
            Step(
                "POST",
                f"{RUNS}/search",
                {"experiment_ids": ["{group}"], "max_results": 2, "order_by": order},
                {"token": "next_page_token"},
            ),
            _search(max_results=2, order_by=order, page_token="{token}"),
        )
    ],
]

RUN_FIELDS = """
info { runName status runUuid experimentId artifactUri endTime lifecycleStage startTime userId }
experiment { experimentId name tags { key value } artifactLocation lifecycleStage lastUpdateTime }
modelVersions { status version name source }
data { metrics { key value step timestamp } params { key value } tags { key value } }
inputs { datasetInputs { dataset { digest name profile schema source sourceType } tags { key value } }
         modelInputs { modelId } }
outputs { modelOutputs { modelId step } }
"""
GET_RUN = f"""query GetRun($data: MlflowGetRunInput!) @component(name: "MLflow.ExperimentRunTracking") {{
  mlflowGetRun(input: $data) {{ apiError {{ helpUrl code message }} run {{ {RUN_FIELDS} }} }}
}}"""
SEARCH_RUNS = f"""query SearchRuns($data: MlflowSearchRunsInput!) {{
  mlflowSearchRuns(input: $data) {{ apiError {{ helpUrl code message }} runs {{ {RUN_FIELDS} }} }}
}}"""
GET_EXPERIMENT = """query MlflowGetExperimentQuery($input: MlflowGetExperimentInput!) {
  mlflowGetExperiment(input: $input) {
    apiError { code message }
    experiment { artifactLocation creationTime effectiveTraceArchivalRetention experimentId lifecycleStage name
                 tags { key value } }
  }
}"""
HISTORY = """query GetMetricHistoryBulkInterval($data: MlflowGetMetricHistoryBulkIntervalInput!)
@component(name: "MLflow.ExperimentRunTracking") {
  mlflowGetMetricHistoryBulkInterval(input: $data) {
    __typename metrics { timestamp step runId key value } apiError { code message }
  }
}"""


def graphql(query: str, **variables: Any) -> Step:
    return post("/graphql", query=query, variables=variables)


GRAPHQL_TALK = [
    created("graphql", tags=pairs(team="ml")),
    begun(run_name="one", start_time=AT, user_id="ada"),
    post(
        f"{RUNS}/log-batch",
        run_id="{run}",
        metrics=points(("acc", 0.9, 0, 0), ("acc", 0.8, 1, 1), ("nan", "NaN", 0, 7)),
        params=pairs(lr="0.1"),
    ),
    post(
        f"{RUNS}/log-inputs",
        run_id="{run}",
        datasets=[{"dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "s"}}],
    ),
    post(f"{V2}/registered-models/create", name="late graphql"),
    post(f"{V2}/model-versions/create", name="late graphql", source="s3://bucket/models/one", run_id="{run}"),
    graphql(GET_RUN, data={"runId": "{run}"}),
    graphql(GET_RUN, data={"runId": NO_RUN}),
    graphql(SEARCH_RUNS, data={"filter": "metrics.acc > 0.1", "experimentIds": ["{group}"]}),
    graphql(SEARCH_RUNS, data={"filter": "metrics.acc >", "experimentIds": ["{group}"]}),
    graphql(GET_EXPERIMENT, input={"experimentId": "{group}"}),
    graphql(GET_EXPERIMENT, input={"experimentId": "987654"}),
    graphql(
        '{ a: mlflowGetRun(input: {runId: "{run}"}) { run { ...F } } } fragment F on MlflowRunExtension { __typename }'
    ),
]

ALL = {
    "experiments": EXPERIMENTS_TALK,
    "search experiments": SEARCH_EXPERIMENTS_TALK,
    "runs": RUNS_TALK,
    "batches": BATCHES_TALK,
    "inputs": INPUTS_TALK,
    "search runs": SEARCH_TALK,
    "graphql": GRAPHQL_TALK,
}
