-- What MLflow's clients trace, and what is said of it: all of it the wire's own (faces/server/mlflow/traces and beside).

-- faces/server/mlflow/traces/store.py. `group_id` is MLflow's experiment; what is many of a trace is kept by its number.
CREATE TABLE traces (
    id TEXT PRIMARY KEY,
    seq BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    project TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    duration_ms BIGINT,
    state TEXT NOT NULL,
    name TEXT,
    client_id TEXT,
    request TEXT,
    response TEXT,
    -- whether its client has said all of it, and spans no longer change it
    complete INTEGER NOT NULL
);
CREATE UNIQUE INDEX traces_seq ON traces (seq);
CREATE INDEX traces_newest ON traces (group_id, at_ms DESC, id);
CREATE TABLE trace_tags (
    trace BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (trace, key)
) WITHOUT ROWID;
CREATE TABLE trace_metadata (
    trace BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (trace, key)
) WITHOUT ROWID;
CREATE INDEX trace_metadata_run ON trace_metadata (key, substr(value, 1, 100));
-- Runs and prompt versions that a trace was linked to afterwards; `target` is a run's id, or `name/version`.
CREATE TABLE trace_links (
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    trace BIGINT NOT NULL,
    PRIMARY KEY (target, kind, trace)
) WITHOUT ROWID;
CREATE INDEX trace_links_trace ON trace_links (trace);
-- `data` is the span as it is answered (OpenTelemetry's message as JSON).
CREATE TABLE spans (
    trace BIGINT NOT NULL,
    id TEXT NOT NULL,
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    start_ns BIGINT NOT NULL,
    end_ns BIGINT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (trace, id)
) WITHOUT ROWID;

-- faces/server/mlflow/traces/assessments.py. `number` and `said` are the value, for searches; `record` is all of it.
CREATE TABLE assessments (
    id TEXT PRIMARY KEY,
    trace BIGINT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    valid INTEGER NOT NULL,
    said TEXT,
    number DOUBLE PRECISION,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX assessments_trace ON assessments (trace, created_ms);
CREATE INDEX assessments_name ON assessments (kind, name, trace);

-- faces/server/mlflow/datasets: evaluation data sets.
CREATE TABLE evaluation_sets (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    schema TEXT,
    profile TEXT,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_by TEXT NOT NULL
);
CREATE TABLE evaluation_set_tags (
    dataset TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (dataset, key)
) WITHOUT ROWID;
CREATE TABLE evaluation_set_groups (
    group_id BIGINT NOT NULL,
    dataset TEXT NOT NULL,
    PRIMARY KEY (group_id, dataset)
) WITHOUT ROWID;
CREATE INDEX evaluation_set_groups_set ON evaluation_set_groups (dataset);
-- `inputs` is a digest of what goes in: the same inputs are one record.
CREATE TABLE evaluation_records (
    id TEXT PRIMARY KEY,
    dataset TEXT NOT NULL,
    inputs TEXT NOT NULL,
    seq BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    record TEXT NOT NULL
);
CREATE UNIQUE INDEX evaluation_records_inputs ON evaluation_records (dataset, inputs);
CREATE INDEX evaluation_records_order ON evaluation_records (dataset, seq);

-- faces/server/mlflow/scorers.py
CREATE TABLE scorers (
    id TEXT NOT NULL,
    group_id BIGINT NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_ms BIGINT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (group_id, name, version)
) WITHOUT ROWID;
CREATE INDEX scorers_id ON scorers (id);

INSERT INTO counters (name, value) VALUES ('traces', 0);
INSERT INTO counters (name, value) VALUES ('evaluation_records', 0);
