-- What MLflow's wire asks of the registry: names with a description and tags, versions with a source, a stage and tags.

-- registry/model_names.py. One row per name that has, had or will have versions.
CREATE TABLE model_names (
    name TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    description TEXT
) WITHOUT ROWID;
CREATE TABLE model_name_tags (
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name, key)
) WITHOUT ROWID;
-- The last number of a name that was deleted, where evidence may still speak of its versions.
CREATE TABLE model_numbers (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) WITHOUT ROWID;

-- registry/models.py, registry/model_versions.py. `record` is empty for a version that a client registered and that
-- was not adopted yet: there is nothing of it that we could serve.
ALTER TABLE models ADD COLUMN updated_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE models ADD COLUMN description TEXT;
ALTER TABLE models ADD COLUMN stage TEXT NOT NULL DEFAULT 'None';
ALTER TABLE models ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE models ADD COLUMN location TEXT NOT NULL DEFAULT '';
ALTER TABLE models ADD COLUMN run_link TEXT;
ALTER TABLE models ADD COLUMN model_id TEXT NOT NULL DEFAULT '';
CREATE TABLE model_tags (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name, version, key)
) WITHOUT ROWID;
CREATE INDEX model_tags_key ON model_tags (key, name);
CREATE INDEX models_run ON models (run);
CREATE INDEX models_updated ON models (updated_ms);

UPDATE models SET updated_ms = CAST(created_at * 1000 AS BIGINT);
INSERT INTO model_names (name, project, created_ms, updated_ms, description)
SELECT name, MIN(project), CAST(MIN(created_at) * 1000 AS BIGINT), CAST(MAX(created_at) * 1000 AS BIGINT), NULL
FROM models GROUP BY name;

-- faces/server/mlflow/webhooks: whom to tell of changes to models, and what is still to be told.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    description TEXT,
    -- encrypted by the store's key
    secret TEXT,
    status TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE TABLE webhook_events (
    webhook TEXT NOT NULL,
    entity TEXT NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (entity, action, webhook)
) WITHOUT ROWID;
CREATE INDEX webhook_events_webhook ON webhook_events (webhook);
CREATE TABLE webhook_deliveries (
    id TEXT PRIMARY KEY,
    webhook TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at);

-- faces/server/mlflow/logged_models. `group_id` is MLflow's experiment.
CREATE TABLE logged_models (
    id TEXT PRIMARY KEY,
    seq BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT,
    status INTEGER NOT NULL,
    message TEXT,
    source_run TEXT,
    location TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX logged_models_seq ON logged_models (seq);
CREATE INDEX logged_models_group ON logged_models (group_id, created_ms);
CREATE INDEX logged_models_run ON logged_models (source_run);
CREATE TABLE logged_model_params (
    model BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) WITHOUT ROWID;
CREATE TABLE logged_model_tags (
    model BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) WITHOUT ROWID;
-- Every point that a client logged with the model's id; `value` is null for NaN.
CREATE TABLE logged_model_metrics (
    model BIGINT NOT NULL,
    key TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    step BIGINT NOT NULL,
    run TEXT NOT NULL,
    value DOUBLE PRECISION,
    dataset TEXT,
    digest TEXT,
    PRIMARY KEY (model, key, at_ms, step, run)
) WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('logged_models', 0);
