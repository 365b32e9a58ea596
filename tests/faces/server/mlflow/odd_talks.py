"""Conversations of clients that make no sense: empty lists, odd names, limits, tokens of another search."""

from tests.faces.server.mlflow.talk import Step, query
from tests.faces.server.mlflow.talks import TRACES, V2, V3

ODD = "tr-" + "e" * 32
DATASETS = f"{V3}/datasets"
NO_RUN = "0" * 32
MODELS = f"{V2}/registered-models"
HERE = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "{experiment}"}}
COUNT = [{"aggregation_type": "COUNT"}]
NAMES = ("é🍷\u202e", "'\"`;--", "../..", "%", "a b", "a/b", "x" * 250, "x" * 251, ".", "/a", "a//b")


def _metrics(**body: object) -> Step:
    return Step("POST", f"{TRACES}/metrics", body)


ODD_TALK = [
    Step("POST", f"{V2}/experiments/create", {"name": "of odd things"}, keep={"experiment": "experiment_id"}),
    Step(
        "POST",
        f"{V2}/runs/create",
        {"experiment_id": "{experiment}", "run_name": "odd"},
        keep={"run": "run.info.run_id"},
    ),
    Step(
        "POST",
        TRACES,
        {
            "trace": {
                "trace_info": {
                    "trace_id": ODD,
                    "trace_location": HERE,
                    "request_time": "2024-05-06T07:08:09.123Z",
                    "state": "OK",
                }
            }
        },
    ),
    *(Step("PATCH", f"{TRACES}/{ODD}/tags", {"key": name, "value": "v"}) for name in NAMES),
    Step("PATCH", f"{TRACES}/{ODD}/tags", {"key": "long", "value": "x" * 4_096}),
    Step("PATCH", f"{TRACES}/{ODD}/tags", {"key": "none"}),
    Step("PATCH", f"{TRACES}/{ODD}/tags", {"value": "v"}),
    Step("GET", f"{TRACES}/{ODD}"),
    Step("POST", f"{TRACES}/search", {"locations": []}),
    Step("POST", f"{TRACES}/search", {}),
    Step("POST", f"{TRACES}/search", {"locations": None}),
    Step("POST", f"{TRACES}/batchGetInfos", {"trace_ids": []}),
    Step("POST", f"{TRACES}/batchGetInfos", {}),
    _metrics(
        experiment_ids=[], view_type="TRACES", metric_name="trace_count", aggregations=COUNT, dimensions=["trace_name"]
    ),
    _metrics(experiment_ids=["{experiment}"], view_type="TRACES", metric_name="trace_count", aggregations=[]),
    Step("POST", f"{V2}/traces/link-to-run", {"trace_ids": [], "run_id": "{run}"}),
    Step("POST", f"{V2}/traces/link-to-run", {"run_id": "{run}"}),
    Step("POST", f"{V2}/traces/link-to-run", {"trace_ids": ["x"] * 101, "run_id": "{run}"}),
    Step(
        "POST",
        f"{TRACES}/calculate-filter-correlation",
        {"experiment_ids": [], "filter_string1": "status = 'OK'", "filter_string2": "status = 'OK'"},
    ),
    *(Step("POST", f"{DATASETS}/search", {"max_results": limit}) for limit in (0, -1, 50_001, "x")),
    Step(
        "POST",
        f"{DATASETS}/create",
        {"name": "odd", "experiment_ids": ["{experiment}"]},
        keep={"set": "dataset.dataset_id"},
    ),
    Step("PATCH", f"{DATASETS}/{{set}}/tags", {}),
    Step("PATCH", f"{DATASETS}/{{set}}/tags", {"tags": ""}),
    Step("GET", f"{DATASETS}/{{set}}/records?max_results=-1"),
    Step("GET", f"{DATASETS}/{{set}}/records?max_results=many"),
    *(
        Step(
            "POST",
            f"{V3}/scorers/register",
            {"experiment_id": "{experiment}", "name": "odd", "serialized_scorer": text},
        )
        for text in ("1e5", "3", "x", "[]")
    ),
    *(Step("GET", query(f"{V2}/artifacts/list", run_id=name)) for name in ("x", "é", "../..", "0" * 32)),
    Step("GET", f"{V2}/artifacts/list?run_id={NO_RUN}&path=../x"),
    *(Step("POST", f"{MODELS}/create", {"name": f"odd {n}"}) for n in range(3)),
    Step("GET", query(f"{MODELS}/search", max_results=1, filter="name LIKE 'odd%'"), keep={"token": "next_page_token"}),
    *(
        Step("GET", f"{path}?max_results=1&page_token={{token}}")
        for path in (f"{MODELS}/search", f"{V2}/model-versions/search")
    ),
    Step("POST", f"{TRACES}/search", {"locations": [HERE], "page_token": "{token}"}),
    Step("POST", f"{DATASETS}/search", {"experiment_ids": ["{experiment}"], "page_token": "{token}"}),
    *(Step("DELETE", f"{MODELS}/delete", {"name": f"odd {n}"}) for n in range(3)),
    Step("DELETE", f"{DATASETS}/{{set}}"),
    Step("POST", f"{V2}/traces/delete-traces", {"experiment_id": "{experiment}", "request_ids": [ODD]}),
    Step("POST", f"{V2}/experiments/update", {"experiment_id": "{experiment}", "new_name": "gone {experiment}"}),
    Step("POST", f"{V2}/experiments/delete", {"experiment_id": "{experiment}"}),
]

ALL = {"odd things": ODD_TALK}
