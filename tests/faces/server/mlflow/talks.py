"""What is asked in the conversations that are recorded from MLflow's own server: each resource's good and bad requests."""

import json

from tests.faces.server.mlflow.talk import Step, query

V2, V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"
MODELS, VERSIONS = f"{V2}/registered-models", f"{V2}/model-versions"
PROMPT = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]


def _version(name: str, **more: object) -> Step:
    return Step("POST", f"{VERSIONS}/create", {"name": name, "source": "s3://bucket/models/one", **more})


MODELS_TALK = [
    Step("POST", f"{MODELS}/create", {"name": "late flights"}),
    Step("POST", f"{MODELS}/create", {"name": "late flights"}),
    Step("POST", f"{MODELS}/create", {}),
    Step("POST", f"{MODELS}/create", {"name": ""}),
    Step("POST", f"{MODELS}/create", {"name": "   "}),
    Step("POST", f"{MODELS}/create", {"name": "a/b"}),
    Step("POST", f"{MODELS}/create", {"name": ".."}),
    Step("POST", f"{MODELS}/create", {"name": "./x"}),
    Step(
        "POST",
        f"{MODELS}/create",
        {"name": "weather", "description": "Rain or not", "tags": [{"key": "team", "value": "ml"}]},
    ),
    Step("POST", f"{MODELS}/create", {"name": "bad tag", "tags": [{"key": "a*b", "value": "x"}]}),
    Step("POST", f"{MODELS}/create", {"name": "bad tag", "tags": [{"key": "k" * 251, "value": "x"}]}),
    Step("POST", f"{MODELS}/create", {"name": "bad tag", "tags": [{"key": "k", "value": "x" * 100_001}]}),
    Step("GET", query(f"{MODELS}/get", name="weather")),
    Step("GET", query(f"{MODELS}/get", name="nothing")),
    Step("GET", f"{MODELS}/get"),
    Step("PATCH", f"{MODELS}/update", {"name": "weather", "description": "Rain"}),
    Step("PATCH", f"{MODELS}/update", {"name": "nothing", "description": "Rain"}),
    Step("POST", f"{MODELS}/rename", {"name": "weather", "new_name": "rain"}),
    Step("POST", f"{MODELS}/rename", {"name": "weather", "new_name": "rain"}),
    Step("POST", f"{MODELS}/rename", {"name": "rain", "new_name": "a:b"}),
    Step("POST", f"{MODELS}/rename", {"name": "rain"}),
    Step("POST", f"{MODELS}/set-tag", {"name": "rain", "key": "team", "value": "data"}),
    Step("POST", f"{MODELS}/set-tag", {"name": "rain", "key": "stage of mind", "value": ""}),
    Step("POST", f"{MODELS}/set-tag", {"name": "rain", "key": "../up", "value": ""}),
    Step("POST", f"{MODELS}/set-tag", {"name": "nothing", "key": "team", "value": "x"}),
    Step("POST", f"{MODELS}/set-tag", {"name": "rain"}),
    Step("DELETE", f"{MODELS}/delete-tag", {"name": "rain", "key": "stage of mind"}),
    Step("DELETE", f"{MODELS}/delete-tag", {"name": "rain", "key": "never there"}),
    Step("DELETE", f"{MODELS}/delete-tag", {"name": "nothing", "key": "team"}),
    Step("GET", query(f"{MODELS}/get", name="rain")),
    _version("rain"),
    Step("POST", f"{MODELS}/alias", {"name": "rain", "alias": "champion", "version": "1"}),
    Step("POST", f"{MODELS}/alias", {"name": "rain", "alias": "champion", "version": "9"}),
    Step("POST", f"{MODELS}/alias", {"name": "rain", "alias": "champion", "version": "one"}),
    Step("POST", f"{MODELS}/alias", {"name": "rain", "alias": "Latest", "version": "1"}),
    Step("POST", f"{MODELS}/alias", {"name": "rain", "alias": "v2", "version": "1"}),
    Step("POST", f"{MODELS}/alias", {"name": "rain", "alias": "a b", "version": "1"}),
    Step("POST", f"{MODELS}/alias", {"name": "rain", "alias": "a" * 256, "version": "1"}),
    Step("GET", query(f"{MODELS}/alias", name="rain", alias="champion")),
    Step("GET", query(f"{MODELS}/alias", name="rain", alias="latest")),
    Step("GET", query(f"{MODELS}/alias", name="rain", alias="none")),
    Step("GET", query(f"{MODELS}/alias", name="nothing", alias="champion")),
    Step("GET", query(f"{MODELS}/alias", name="late flights", alias="latest")),
    Step("GET", query(f"{MODELS}/get", name="rain")),
    Step("DELETE", f"{MODELS}/alias", {"name": "rain", "alias": "champion"}),
    Step("DELETE", f"{MODELS}/alias", {"name": "rain", "alias": "champion"}),
    Step("DELETE", f"{MODELS}/delete", {"name": "rain"}),
    Step("DELETE", f"{MODELS}/delete", {"name": "rain"}),
    Step("GET", query(f"{MODELS}/get", name="rain")),
    Step("DELETE", f"{MODELS}/delete", {"name": "late flights"}),
]

VERSIONS_TALK = [
    Step("POST", f"{MODELS}/create", {"name": "m"}),
    _version("m", description="first", tags=[{"key": "a", "value": "1"}], run_link="http://ci/1"),
    _version("m"),
    _version("m", run_id="", source="s3://bucket/models/../two"),
    _version("m", source="s3://bucket/models/%2e%2e/two"),
    _version("m", source="/etc"),
    _version("m", source="file:///etc"),
    _version("m", source="runs:/0123456789abcdef0123456789abcdef/model"),
    _version("m", source="mlflow-artifacts:/0/abc/artifacts/model"),
    _version("m", source="models:/m-0123456789abcdef0123456789abcdef"),
    _version("m", source="models:/m/1"),
    _version("m", source="models:/m/latest"),
    _version("m", source="models:/m/9"),
    _version("m", source="models:/nothing/1"),
    _version("m", source="models://host/m/1"),
    _version("m", source="models:/m/1", run_id="0123456789abcdef0123456789abcdef"),
    _version("nothing"),
    Step("POST", f"{VERSIONS}/create", {"name": "m"}),
    Step("POST", f"{VERSIONS}/create", {"source": "s3://bucket/x"}),
    _version("m", tags=[{"key": "", "value": "x"}]),
    Step("GET", query(f"{VERSIONS}/get", name="m", version="1")),
    Step("GET", query(f"{VERSIONS}/get", name="m", version="99")),
    Step("GET", query(f"{VERSIONS}/get", name="m", version="x")),
    Step("GET", query(f"{VERSIONS}/get", name="m")),
    Step("GET", query(f"{VERSIONS}/get", name="nothing", version="1")),
    Step("PATCH", f"{VERSIONS}/update", {"name": "m", "version": "1", "description": "better"}),
    Step("PATCH", f"{VERSIONS}/update", {"name": "m", "version": "1"}),
    Step("POST", f"{VERSIONS}/transition-stage", {"name": "m", "version": "1", "stage": "production"}),
    Step("POST", f"{VERSIONS}/transition-stage", {"name": "m", "version": "1", "stage": "Nowhere"}),
    Step("POST", f"{VERSIONS}/transition-stage", {"name": "m", "version": "1"}),
    Step(
        "POST",
        f"{VERSIONS}/transition-stage",
        {"name": "m", "version": "2", "stage": "Production", "archive_existing_versions": True},
    ),
    Step("GET", query(f"{MODELS}/get-latest-versions", name="m")),
    Step("POST", f"{MODELS}/get-latest-versions", {"name": "m", "stages": ["Production", "None"]}),
    Step("POST", f"{MODELS}/get-latest-versions", {"name": "m", "stages": ["Nowhere"]}),
    Step("POST", f"{MODELS}/get-latest-versions", {"name": "nothing"}),
    Step("GET", query(f"{VERSIONS}/get-download-uri", name="m", version="1")),
    Step("GET", query(f"{VERSIONS}/get-download-uri", name="m", version="3")),
    Step("GET", query(f"{VERSIONS}/get-download-uri", name="m", version="77")),
    Step("POST", f"{VERSIONS}/set-tag", {"name": "m", "version": "1", "key": "b", "value": "2"}),
    Step("POST", f"{VERSIONS}/set-tag", {"name": "m", "version": "99", "key": "b", "value": "2"}),
    Step("POST", f"{VERSIONS}/set-tag", {"name": "m", "version": "1", "key": "b\u2603*", "value": "2"}),
    Step("DELETE", f"{VERSIONS}/delete-tag", {"name": "m", "version": "1", "key": "a"}),
    Step("DELETE", f"{VERSIONS}/delete-tag", {"name": "m", "version": "1", "key": "a"}),
    Step("GET", query(f"{VERSIONS}/get", name="m", version="1")),
    Step("POST", f"{MODELS}/alias", {"name": "m", "alias": "best", "version": "2"}),
    Step("DELETE", f"{VERSIONS}/delete", {"name": "m", "version": "2"}),
    Step("DELETE", f"{VERSIONS}/delete", {"name": "m", "version": "2"}),
    Step("GET", query(f"{VERSIONS}/get", name="m", version="2")),
    Step("GET", query(f"{MODELS}/alias", name="m", alias="best")),
    _version("m"),
    Step("GET", query(f"{MODELS}/get", name="m")),
    Step("DELETE", f"{MODELS}/delete", {"name": "m"}),
    Step("POST", f"{MODELS}/create", {"name": "m"}),
    _version("m"),
    Step("DELETE", f"{MODELS}/delete", {"name": "m"}),
]


def _found(text: str, kind: str = VERSIONS, **more: object) -> Step:
    return Step("GET", query(f"{kind}/search", filter=text, **more))


SEARCH_TALK = [
    *(Step("POST", f"{MODELS}/create", {"name": name}) for name in ("ant", "Bee", "beetle", "cow_1", "cowx1")),
    Step("POST", f"{MODELS}/create", {"name": "greet", "tags": PROMPT}),
    Step("POST", f"{MODELS}/set-tag", {"name": "ant", "key": "legs", "value": "six"}),
    Step("POST", f"{MODELS}/set-tag", {"name": "Bee", "key": "legs", "value": "six"}),
    Step("POST", f"{MODELS}/set-tag", {"name": "Bee", "key": "wing.count", "value": "Four"}),
    _version("ant", tags=[{"key": "q", "value": "good"}]),
    _version("ant", tags=[{"key": "q", "value": "Bad"}]),
    _version("Bee"),
    Step("POST", f"{VERSIONS}/create", {"name": "greet", "source": "dummy-source", "tags": PROMPT}),
    Step("POST", f"{VERSIONS}/create", {"name": "greet", "source": "s3://x/y", "tags": PROMPT}),
    *(
        _found(text, MODELS)
        for text in (
            "",
            "name = 'ant'",
            "name != 'ant'",
            "name LIKE 'be%'",
            "name ilike 'be%'",
            "name LIKE 'cow_1'",
            "name IN ('ant', 'Bee')",
            "name NOT IN ('ant')",
            'name = "ant"',
            "tags.legs = 'six'",
            "tag.legs != 'eight'",
            "tags.`wing.count` = 'Four'",
            "tags.\"wing.count\" LIKE 'F%'",
            "tags.legs = 'six' AND name LIKE 'B%'",
            "tags.legs = 'six' and tags.`wing.count` ILIKE 'f%'",
            "tags.`mlflow.prompt.is_prompt` = 'true'",
            "tags.`mlflow.prompt.is_prompt` != 'true'",
            "tags.`mlflow.prompt.is_prompt` = 'false'",
            "name = ant",
            "name = 3",
            "name > 'a'",
            "tags.legs > 'a'",
            "tags.legs = 6",
            "colour = 'red'",
            "metrics.x = 'a'",
            "name",
            "name =",
            "name = 'a' OR name = 'b'",
            "name IN ()",
            "name IN (1)",
            "name IS NULL",
        )
    ),
    Step("GET", query(f"{MODELS}/search", max_results=2), keep={"next": "next_page_token"}),
    Step("GET", f"{MODELS}/search?max_results=2&page_token={{next}}"),
    Step("GET", query(f"{MODELS}/search", max_results=1001)),
    Step("GET", query(f"{MODELS}/search", page_token="nonsense!")),
    Step("GET", query(f"{MODELS}/search", page_token="AAAA")),
    Step("GET", query(f"{MODELS}/search", order_by=["name DESC"])),
    Step("GET", query(f"{MODELS}/search", order_by=["last_updated_timestamp DESC", "name ASC"])),
    Step("GET", query(f"{MODELS}/search", order_by=["timestamp ASC"])),
    Step("GET", query(f"{MODELS}/search", order_by=["colour"])),
    Step("GET", query(f"{MODELS}/search", order_by=["name SIDEWAYS"])),
    *(
        _found(text)
        for text in (
            "name = 'ant'",
            "name='ant' AND version_number > 1",
            "version_number = '1'",
            "version_number <= 1 and name LIKE '%t'",
            "run_id = ''",
            "run_id IN ('abc')",
            "source_path = 's3://bucket/models/one'",
            "source_path IN ('x')",
            "tags.q = 'good'",
            "tags.q ILIKE 'bad'",
            "attribute.name = 'Bee'",
            "version_number LIKE '1'",
            "version_number = 1.5",
            "version_number = 'x'",
            "stage = 'None'",
            "tags.`mlflow.prompt.is_prompt` = 'true'",
        )
    ),
    Step("GET", query(f"{VERSIONS}/search", order_by=["version_number ASC", "name DESC"])),
    Step("GET", query(f"{VERSIONS}/search", order_by=["creation_timestamp DESC"], max_results=2)),
    Step("GET", query(f"{VERSIONS}/search", order_by=["stage"])),
    Step("GET", query(f"{VERSIONS}/search", max_results=0)),
    Step("GET", query(f"{VERSIONS}/search", max_results=200_001)),
    Step("POST", f"{MODELS}/create", {"name": "greet"}),
    Step("POST", f"{MODELS}/create", {"name": "ant", "tags": PROMPT}),
    *(
        Step("DELETE", f"{MODELS}/delete", {"name": name})
        for name in ("ant", "Bee", "beetle", "cow_1", "cowx1", "greet")
    ),
]

ALL = {"models": MODELS_TALK, "versions": VERSIONS_TALK, "search": SEARCH_TALK}
LOGGED = f"{V2}/logged-models"


def _models(text: str, **more: object) -> Step:
    return Step("POST", f"{LOGGED}/search", {"experiment_ids": ["{experiment}"], "filter": text, **more})


LOGGED_TALK = [
    Step("POST", f"{V2}/experiments/create", {"name": "of logged models"}, keep={"experiment": "experiment_id"}),
    Step(
        "POST",
        f"{V2}/runs/create",
        {"experiment_id": "{experiment}", "run_name": "first"},
        keep={"run": "run.info.run_id"},
    ),
    Step(
        "POST",
        LOGGED,
        {
            "experiment_id": "{experiment}",
            "name": "one",
            "model_type": "Agent",
            "source_run_id": "{run}",
            "params": [{"key": "lr", "value": "0.1"}],
            "tags": [{"key": "team", "value": "ml"}],
        },
        keep={"one": "model.info.model_id"},
    ),
    Step("POST", LOGGED, {"experiment_id": "{experiment}", "name": "two"}, keep={"two": "model.info.model_id"}),
    Step("POST", LOGGED, {"experiment_id": "{experiment}", "name": "a/b"}),
    Step("POST", LOGGED, {"experiment_id": "987654321", "name": "x"}),
    Step("POST", LOGGED, {"name": "x"}),
    Step("GET", f"{LOGGED}/{{one}}"),
    Step("GET", f"{LOGGED}/m-0123456789abcdef0123456789abcdef"),
    Step("PATCH", f"{LOGGED}/{{one}}", {"model_id": "{one}", "status": "LOGGED_MODEL_READY"}),
    Step("PATCH", f"{LOGGED}/m-00", {"model_id": "m-00", "status": "LOGGED_MODEL_READY"}),
    Step("POST", f"{LOGGED}/{{one}}/params", {"model_id": "{one}", "params": [{"key": "depth", "value": "3"}]}),
    Step("PATCH", f"{LOGGED}/{{one}}/tags", {"model_id": "{one}", "tags": [{"key": "team", "value": "data"}]}),
    Step("PATCH", f"{LOGGED}/{{two}}/tags", {"model_id": "{two}", "tags": [{"key": "temporary", "value": "x"}]}),
    Step("DELETE", f"{LOGGED}/{{two}}/tags/temporary", {}),
    Step("DELETE", f"{LOGGED}/{{two}}/tags/temporary", {}),
    Step(
        "POST",
        f"{V2}/runs/log-metric",
        {"run_id": "{run}", "key": "auc", "value": 0.5, "timestamp": 1, "step": 1, "model_id": "{one}"},
    ),
    Step(
        "POST",
        f"{V2}/runs/log-batch",
        {
            "run_id": "{run}",
            "metrics": [
                {
                    "key": "auc",
                    "value": 0.7,
                    "timestamp": 2,
                    "step": 2,
                    "model_id": "{one}",
                    "dataset_name": "holdout",
                    "dataset_digest": "abc",
                },
                {"key": "auc", "value": 0.9, "timestamp": 3, "step": 3, "model_id": "{two}"},
                {"key": "loss", "value": 0.3, "timestamp": 3, "step": 3},
            ],
        },
    ),
    Step("GET", f"{LOGGED}/{{one}}"),
    *(
        _models(text)
        for text in (
            "",
            "name = 'one'",
            "name != 'one'",
            "name LIKE 'o%'",
            "name ILIKE 'O%'",
            "name IN ('one', 'three')",
            "name NOT IN ('one')",
            "params.lr = '0.1'",
            "tags.team = 'data'",
            "tags.`team` LIKE 'd%'",
            "metrics.auc > 0.6",
            "metrics.auc >= 0.9",
            "metrics.auc = 0.5 AND name = 'one'",
            "model_type = 'Agent'",
            "creation_timestamp > 0",
            "source_run_id = '{run}'",
            "metrics.auc LIKE 'x'",
            "name > 'a'",
            "colours.x = 'a'",
        )
    ),
    _models("metrics.auc > 0.4", datasets=[{"dataset_name": "holdout", "dataset_digest": "abc"}]),
    _models("metrics.auc > 0.8", datasets=[{"dataset_name": "holdout", "dataset_digest": "abc"}]),
    _models("", datasets=[{"dataset_name": "holdout", "dataset_digest": "abc"}]),
    _models("", datasets=[{"dataset_digest": "abc"}]),
    _models("", order_by=[{"field_name": "metrics.auc"}]),
    _models("", order_by=[{"field_name": "metrics.auc", "ascending": False}]),
    _models("", order_by=[{"field_name": "metrics.auc", "ascending": False, "dataset_name": "holdout"}]),
    _models("", order_by=[{"field_name": "name", "ascending": False}]),
    _models("", order_by=[{"field_name": "params.lr"}]),
    Step("POST", f"{LOGGED}/search", {"filter": ""}),
    Step(
        "POST",
        f"{LOGGED}/search",
        {"experiment_ids": ["{experiment}"], "max_results": 1},
        keep={"page": "next_page_token"},
    ),
    Step("POST", f"{LOGGED}/search", {"experiment_ids": ["{experiment}"], "max_results": 1, "page_token": "{page}"}),
    Step("GET", f"{LOGGED}/{{one}}/artifacts/directories"),
    Step(
        "POST",
        f"{MODELS}/create",
        {"name": "from logged"},
    ),
    Step(
        "POST",
        f"{VERSIONS}/create",
        {"name": "from logged", "source": "models:/{one}", "model_id": "{one}"},
    ),
    Step("POST", f"{VERSIONS}/create", {"name": "from logged", "source": "models:/{two}", "model_id": "{one}"}),
    Step("POST", f"{VERSIONS}/create", {"name": "from logged", "source": "models:/from logged/1"}),
    Step("GET", query(f"{VERSIONS}/get-download-uri", name="from logged", version="1")),
    Step("GET", query(f"{VERSIONS}/get-download-uri", name="from logged", version="2")),
    Step("POST", f"{VERSIONS}/create", {"name": "from logged", "source": "runs:/{run}/model", "run_id": "{run}"}),
    Step("GET", query(f"{VERSIONS}/get-download-uri", name="from logged", version="3")),
    Step("GET", f"{LOGGED}/{{one}}"),
    Step("DELETE", f"{LOGGED}/{{two}}"),
    Step("GET", f"{LOGGED}/{{two}}"),
    Step("GET", f"{LOGGED}/{{two}}?allow_deleted=true"),
    _models(""),
    Step("DELETE", f"{MODELS}/delete", {"name": "from logged"}),
    Step("POST", f"{V2}/experiments/update", {"experiment_id": "{experiment}", "new_name": "gone {experiment}"}),
    Step("POST", f"{V2}/experiments/delete", {"experiment_id": "{experiment}"}),
]

ALL["logged models"] = LOGGED_TALK

TRACES = f"{V3}/traces"
ONE, TWO, THREE = (f"tr-{digit * 32}" for digit in "123")
HERE = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "{experiment}"}}
ASSESSED = f"{TRACES}/{ONE}/assessments"


def _trace(identifier: str, **more: object) -> Step:
    info = {
        "trace_id": identifier,
        "trace_location": HERE,
        "request_time": "2024-05-06T07:08:09.123Z",
        "state": "OK",
        **more,
    }
    return Step("POST", TRACES, {"trace": {"trace_info": info}})


def _traces(text: str, **more: object) -> Step:
    return Step("POST", f"{TRACES}/search", {"locations": [HERE], "filter": text, **more})


TRACES_TALK = [
    Step("POST", f"{V2}/experiments/create", {"name": "of traces"}, keep={"experiment": "experiment_id"}),
    Step(
        "POST",
        f"{V2}/runs/create",
        {"experiment_id": "{experiment}", "run_name": "traced"},
        keep={"run": "run.info.run_id"},
    ),
    _trace(
        ONE,
        execution_duration="1.500s",
        request_preview="what?",
        response_preview="that",
        tags={"mlflow.traceName": "ask", "team": "ml"},
        trace_metadata={"mlflow.sourceRun": "{run}", "mlflow.trace.session": "s1", "who": "bob"},
    ),
    _trace(
        TWO,
        request_time="2024-05-06T07:08:10Z",
        state="ERROR",
        tags={"mlflow.traceName": "tell"},
        execution_duration="0.250s",
    ),
    _trace(THREE, request_time="2024-05-06T07:08:11Z", client_request_id="c3", execution_duration="2s"),
    Step("POST", TRACES, {}),
    Step("GET", f"{TRACES}/{ONE}"),
    Step("GET", f"{TRACES}/tr-none"),
    Step("GET", query(f"{TRACES}/get", trace_id="tr-none")),
    Step("POST", f"{TRACES}/batchGetInfos", {"trace_ids": [TWO, "tr-none", ONE]}),
    Step("PATCH", f"{TRACES}/{ONE}/tags", {"key": "team", "value": "data"}),
    Step("PATCH", f"{V2}/traces/{ONE}/tags", {"key": "old path", "value": "x"}),
    Step("DELETE", f"{TRACES}/{ONE}/tags", {"key": "old path"}),
    Step("DELETE", f"{TRACES}/{ONE}/tags", {"key": "old path"}),
    Step(
        "POST",
        ASSESSED,
        {
            "assessment": {
                "assessment_name": "good",
                "trace_id": ONE,
                "source": {"source_type": "HUMAN", "source_id": "bob"},
                "create_time": "2024-05-06T08:00:00Z",
                "last_update_time": "2024-05-06T08:00:00Z",
                "feedback": {"value": True},
                "rationale": "it was",
                "metadata": {"k": "v"},
                "valid": True,
            }
        },
        keep={"good": "assessment.assessment_id"},
    ),
    Step(
        "POST",
        ASSESSED,
        {
            "assessment": {
                "assessment_name": "score",
                "trace_id": ONE,
                "source": {"source_type": "LLM_JUDGE", "source_id": "judge"},
                "create_time": "2024-05-06T08:00:01Z",
                "last_update_time": "2024-05-06T08:00:01Z",
                "feedback": {"value": 0.75},
            }
        },
    ),
    Step("GET", f"{ASSESSED}/{{good}}"),
    Step("GET", f"{ASSESSED}/a-none"),
    Step("DELETE", f"{ASSESSED}/a-none"),
    *(
        _traces(text)
        for text in (
            "",
            "status = 'OK'",
            "attributes.status != 'OK'",
            "trace.status IN ('OK', 'ERROR')",
            "name = 'ask'",
            "name LIKE 'a%'",
            "trace.name ILIKE 'ASK'",
            "tags.team = 'data'",
            "tag.team != 'ml'",
            "tags.team IS NULL",
            "tags.team IS NOT NULL",
            "metadata.who = 'bob'",
            "request_metadata.who LIKE 'b%'",
            "metadata.`mlflow.trace.session` = 's1'",
            "timestamp_ms > 1714979289123",
            "timestamp >= 1714979290000",
            "execution_time_ms < 1000",
            "end_time_ms >= 1714979290000",
            "client_request_id = 'c3'",
            f"request_id = '{TWO}'",
            f"request_id IN ('{ONE}', '{TWO}')",
            "feedback.good = 'true'",
            "feedback.score > 0.5",
            "feedback.score > 0.8",
            "feedback.good IS NULL",
            "feedback.good IS NOT NULL",
            "run_id = '{run}'",
            "status = 'OK' AND tags.team = 'data'",
            "colour = 'red'",
            "nothing.x = 'y'",
            "status = 3",
            "prompt = 'a'",
            "prompt = 'greet/1'",
            "status = 'OK' OR status = 'ERROR'",
        )
    ),
    _traces("", order_by=["timestamp_ms ASC"]),
    _traces("", order_by=["execution_time_ms DESC"]),
    _traces("", order_by=["name ASC"]),
    _traces("", order_by=["status DESC", "timestamp_ms ASC"]),
    _traces("", order_by=["colour"]),
    Step("POST", f"{TRACES}/search", {"locations": [HERE], "max_results": 1}, keep={"page": "next_page_token"}),
    Step("POST", f"{TRACES}/search", {"locations": [HERE], "max_results": 1, "page_token": "{page}"}),
    Step("POST", f"{TRACES}/search", {"locations": [HERE], "max_results": 501}),
    Step("POST", f"{TRACES}/search", {"filter": ""}),
    Step("POST", f"{V2}/traces/link-to-run", {"trace_ids": [TWO], "run_id": "{run}"}),
    _traces("run_id = '{run}'"),
    Step(
        "POST",
        f"{V2}/traces/link-prompts",
        {"trace_id": TWO, "prompt_versions": [{"name": "greet", "version": "1"}]},
    ),
    Step("POST", f"{V2}/traces/delete-traces", {"experiment_id": "{experiment}"}),
    Step("POST", f"{V2}/traces/delete-traces", {"experiment_id": "{experiment}", "request_ids": [ONE]}),
    Step(
        "POST", f"{V2}/traces/delete-traces", {"experiment_id": "{experiment}", "max_timestamp_millis": 1714979290000}
    ),
    _traces(""),
    Step("POST", f"{V2}/experiments/update", {"experiment_id": "{experiment}", "new_name": "gone {experiment}"}),
    Step("POST", f"{V2}/experiments/delete", {"experiment_id": "{experiment}"}),
]

ALL["traces"] = TRACES_TALK

DATASETS, SCORERS = f"{V3}/datasets", f"{V3}/scorers"
RECORDS = [
    {"inputs": {"q": "1+1"}, "expectations": {"answer": "2"}},
    {"inputs": {"q": "2+2"}, "outputs": {"said": 4}, "tags": {"k": "v"}},
]
SCORER = json.dumps({"name": "s", "serialization_version": 1, "builtin_scorer_class": "Correctness"})

DATASETS_TALK = [
    Step("POST", f"{V2}/experiments/create", {"name": "of data sets"}, keep={"experiment": "experiment_id"}),
    Step(
        "POST",
        f"{DATASETS}/create",
        {"name": "qa", "experiment_ids": ["{experiment}"], "tags": '{"team": "ml"}'},
        keep={"set": "dataset.dataset_id"},
    ),
    Step("POST", f"{DATASETS}/create", {"experiment_ids": ["{experiment}"]}),
    Step("GET", f"{DATASETS}/{{set}}"),
    Step("GET", f"{DATASETS}/d-none"),
    Step("POST", f"{DATASETS}/{{set}}/records", {"records": json.dumps(RECORDS)}),
    Step(
        "POST", f"{DATASETS}/{{set}}/records", {"records": json.dumps([{"inputs": {"q": "1+1"}, "tags": {"a": "b"}}])}
    ),
    Step("GET", f"{DATASETS}/{{set}}"),
    Step("PATCH", f"{DATASETS}/{{set}}/tags", {"tags": '{"team": "data", "x": "y"}'}),
    Step("DELETE", f"{DATASETS}/{{set}}/tags/x"),
    Step("GET", f"{DATASETS}/{{set}}/experiment-ids"),
    *(
        Step("POST", f"{DATASETS}/search", {"experiment_ids": ["{experiment}"], "filter_string": text})
        for text in ("", "name = 'qa'", "name LIKE 'q%'", "name = 'other'", "tags.team = 'data'", "tags.team = 'ml'")
    ),
    Step("POST", f"{DATASETS}/{{set}}/remove-experiments", {"experiment_ids": ["{experiment}"]}),
    Step("POST", f"{DATASETS}/search", {"experiment_ids": ["{experiment}"]}),
    Step("POST", f"{DATASETS}/{{set}}/add-experiments", {"experiment_ids": ["{experiment}"]}),
    Step("DELETE", f"{DATASETS}/{{set}}"),
    Step("GET", f"{DATASETS}/{{set}}"),
    Step("GET", query(f"{SCORERS}/list", experiment_id="{experiment}").replace("%7B", "{").replace("%7D", "}")),
    Step("POST", f"{SCORERS}/register", {"experiment_id": "{experiment}", "name": "s", "serialized_scorer": SCORER}),
    Step("POST", f"{SCORERS}/register", {"experiment_id": "{experiment}", "name": "s", "serialized_scorer": SCORER}),
    Step("POST", f"{SCORERS}/register", {"experiment_id": "{experiment}", "name": "s", "serialized_scorer": "{"}),
    Step("POST", f"{SCORERS}/register", {"experiment_id": "{experiment}", "serialized_scorer": SCORER}),
    Step("GET", f"{SCORERS}/versions?experiment_id={{experiment}}&name=s"),
    Step("GET", f"{SCORERS}/get?experiment_id={{experiment}}&name=s"),
    Step("GET", f"{SCORERS}/get?experiment_id={{experiment}}&name=s&version=1"),
    Step("GET", f"{SCORERS}/get?experiment_id={{experiment}}&name=s&version=9"),
    Step("GET", f"{SCORERS}/get?experiment_id={{experiment}}&name=other"),
    Step("DELETE", f"{SCORERS}/delete", {"experiment_id": "{experiment}", "name": "s", "version": 1}),
    Step("GET", f"{SCORERS}/versions?experiment_id={{experiment}}&name=s"),
    Step("DELETE", f"{SCORERS}/delete", {"experiment_id": "{experiment}", "name": "s"}),
    Step("DELETE", f"{SCORERS}/delete", {"experiment_id": "{experiment}", "name": "s"}),
    Step("POST", f"{V2}/experiments/update", {"experiment_id": "{experiment}", "new_name": "gone {experiment}"}),
    Step("POST", f"{V2}/experiments/delete", {"experiment_id": "{experiment}"}),
]

ALL["data sets"] = DATASETS_TALK
