"""Every route of MLflow's wire; docs/reference/mlflow-endpoints.md is generated from it."""

from roadworthy.faces.server.http import Route
from roadworthy.faces.server.mlflow import (
    artifact_places,
    artifacts,
    experiments,
    metric_history,
    model_artifacts,
    model_files,
    model_versions,
    multipart,
    not_offered,
    pages,
    registered_models,
    run_artifacts,
    run_logging,
    run_search,
    runs,
    scorers,
    server_info,
)
from roadworthy.faces.server.mlflow.accounts import people, permits
from roadworthy.faces.server.mlflow.datasets import handlers as datasets
from roadworthy.faces.server.mlflow.graphql import handlers as graphql
from roadworthy.faces.server.mlflow.logged_models import handlers as logged_models
from roadworthy.faces.server.mlflow.logged_models import store as logged_models_store
from roadworthy.faces.server.mlflow.traces import assessing, charts, ingest, legacy, linking
from roadworthy.faces.server.mlflow.traces import handlers as traces
from roadworthy.faces.server.mlflow.traces import store as traces_store
from roadworthy.faces.server.mlflow.webhooks import handlers as webhooks

artifact_places.PROJECTS["models"] = logged_models_store.project_of
artifact_places.PROJECTS[model_files.FOLDER] = model_files.project_of
artifact_places.PROJECTS["traces"] = traces_store.project_of

ROUTES: tuple[Route, ...] = (
    *server_info.ROUTES,
    *experiments.ROUTES,
    *runs.ROUTES,
    *run_logging.ROUTES,
    *run_search.ROUTES,
    *metric_history.ROUTES,
    *graphql.ROUTES,
    *artifacts.ROUTES,
    *multipart.ROUTES,
    *run_artifacts.ROUTES,
    *model_artifacts.ROUTES,
    *registered_models.ROUTES,
    *model_versions.ROUTES,
    *logged_models.ROUTES,
    *webhooks.ROUTES,
    *traces.ROUTES,
    *assessing.ROUTES,
    *linking.ROUTES,
    *charts.ROUTES,
    *legacy.ROUTES,
    *ingest.ROUTES,
    *datasets.ROUTES,
    *scorers.ROUTES,
    *people.ROUTES,
    *permits.ROUTES,
    *not_offered.ROUTES,
    *not_offered.TELEMETRY,
    *pages.ROUTES,
)
