"""The types of MLflow's GraphQL schema: which fields there are, and how an answer's absent ones look.

In: a field's name. Out: its kind. Called by handlers.py. Names are in camel case, as on this wire; absent text is
empty, an absent number is 0, an absent list empty, as protobuf has it. Long numbers are text: JavaScript's are short.
"""

TEXT, LONG, INT, FLOAT, FLAG, ERROR = "String", "LongString", "Int", "Float", "Boolean", "ApiError"

_PAIR = {"key": TEXT, "value": TEXT}
_METRIC = {
    "key": TEXT, "value": FLOAT, "timestamp": LONG, "step": LONG, "datasetName": TEXT, "datasetDigest": TEXT,
    "modelId": TEXT, "runId": TEXT,
}  # fmt: skip
# `[X]` is a list of X.
TYPES: dict[str, dict[str, str]] = {
    "Query": {
        "mlflowGetExperiment": "MlflowGetExperimentResponse",
        "mlflowGetMetricHistoryBulkInterval": "MlflowGetMetricHistoryBulkIntervalResponse",
        "mlflowGetRun": "MlflowGetRunResponse",
        "mlflowListArtifacts": "MlflowListArtifactsResponse",
        "mlflowSearchModelVersions": "MlflowSearchModelVersionsResponse",
        "mlflowSearchRuns": "MlflowSearchRunsResponse",
    },
    "Mutation": {
        "mlflowSearchDatasets": "MlflowSearchDatasetsResponse",
        "mlflowSearchRuns": "MlflowSearchRunsResponse",
    },
    "ApiError": {"code": TEXT, "message": TEXT, "helpUrl": TEXT, "traceId": TEXT, "errorDetails": "[ErrorDetail]"},
    "ErrorDetail": {"field": TEXT, "message": TEXT},
    "MlflowGetExperimentResponse": {"experiment": "MlflowExperiment", "apiError": ERROR},
    "MlflowExperiment": {
        "experimentId": TEXT, "name": TEXT, "artifactLocation": TEXT, "lifecycleStage": TEXT, "lastUpdateTime": LONG,
        "creationTime": LONG, "tags": "[MlflowExperimentTag]", "effectiveTraceArchivalRetention": TEXT,
        "workspace": TEXT,
    },
    "MlflowExperimentTag": _PAIR,
    "MlflowGetRunResponse": {"run": "MlflowRunExtension", "apiError": ERROR},
    "MlflowSearchRunsResponse": {"runs": "[MlflowRunExtension]", "nextPageToken": TEXT, "apiError": ERROR},
    "MlflowRunExtension": {
        "info": "MlflowRunInfo", "data": "MlflowRunData", "inputs": "MlflowRunInputs", "outputs": "MlflowRunOutputs",
        "experiment": "MlflowExperiment", "modelVersions": "[MlflowModelVersion]",
    },
    "MlflowRunInfo": {
        "runId": TEXT, "runUuid": TEXT, "runName": TEXT, "experimentId": TEXT, "userId": TEXT, "status": TEXT,
        "startTime": LONG, "endTime": LONG, "artifactUri": TEXT, "lifecycleStage": TEXT,
    },
    "MlflowRunData": {"metrics": "[MlflowMetricExtension]", "params": "[MlflowParam]", "tags": "[MlflowRunTag]"},
    "MlflowMetricExtension": _METRIC,
    "MlflowParam": _PAIR,
    "MlflowRunTag": _PAIR,
    "MlflowRunInputs": {"datasetInputs": "[MlflowDatasetInput]", "modelInputs": "[MlflowModelInput]"},
    "MlflowDatasetInput": {"tags": "[MlflowInputTag]", "dataset": "MlflowDataset"},
    "MlflowInputTag": _PAIR,
    "MlflowDataset": {
        "name": TEXT, "digest": TEXT, "sourceType": TEXT, "source": TEXT, "schema": TEXT, "profile": TEXT,
    },
    "MlflowModelInput": {"modelId": TEXT},
    "MlflowRunOutputs": {"modelOutputs": "[MlflowModelOutput]"},
    "MlflowModelOutput": {"modelId": TEXT, "step": LONG},
    "MlflowGetMetricHistoryBulkIntervalResponse": {"metrics": "[MlflowMetricWithRunId]", "apiError": ERROR},
    "MlflowMetricWithRunId": {"key": TEXT, "value": FLOAT, "timestamp": LONG, "step": LONG, "runId": TEXT},
    "MlflowListArtifactsResponse": {
        "rootUri": TEXT, "files": "[MlflowFileInfo]", "nextPageToken": TEXT, "apiError": ERROR,
    },
    "MlflowFileInfo": {"path": TEXT, "isDir": FLAG, "fileSize": LONG},
    "MlflowSearchModelVersionsResponse": {
        "modelVersions": "[MlflowModelVersion]", "nextPageToken": TEXT, "apiError": ERROR,
    },
    "MlflowModelVersion": {
        "name": TEXT, "version": TEXT, "creationTimestamp": LONG, "lastUpdatedTimestamp": LONG, "userId": TEXT,
        "currentStage": TEXT, "description": TEXT, "source": TEXT, "runId": TEXT, "status": TEXT,
        "statusMessage": TEXT, "tags": "[MlflowModelVersionTag]", "runLink": TEXT, "aliases": "[String]",
        "modelId": TEXT, "modelParams": "[MlflowModelParam]", "modelMetrics": "[MlflowModelMetric]",
        "deploymentJobState": "MlflowModelVersionDeploymentJobState",
    },
    "MlflowModelVersionTag": _PAIR,
    "MlflowModelParam": {"name": TEXT, "value": TEXT},
    "MlflowModelMetric": _METRIC,
    "MlflowModelVersionDeploymentJobState": {
        "jobId": TEXT, "runId": TEXT, "jobState": TEXT, "runState": TEXT, "currentTaskName": TEXT,
    },
    "MlflowSearchDatasetsResponse": {"datasetSummaries": "[MlflowDatasetSummary]", "apiError": ERROR},
    "MlflowDatasetSummary": {"experimentId": TEXT, "name": TEXT, "digest": TEXT, "context": TEXT},
}  # fmt: skip
SCALARS = {TEXT, LONG, INT, FLOAT, FLAG}
ABSENT: dict[str, object] = {TEXT: "", LONG: "0", INT: 0, FLOAT: 0.0, FLAG: False}
