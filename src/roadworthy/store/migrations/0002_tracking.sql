-- Groups of runs, and runs, parameters, tags and metrics laid out for a load of many clients.
-- What is asked of one run is keyed by its number (runs.seq), which is short; what is asked of a group has the
-- group's number in its index. A value's first hundred characters are indexed: PostgreSQL's index rows are limited.

-- Numbers that are given out one after another.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

-- registry/groups.py
CREATE TABLE groups (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    project TEXT NOT NULL,
    location TEXT NOT NULL,
    stage TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX groups_name ON groups (name);
CREATE TABLE group_tags (
    group_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (group_id, key)
) WITHOUT ROWID;

-- registry/runs.py. `record` has what no column has.
ALTER TABLE runs RENAME TO runs_1;
DROP INDEX runs_seq;
DROP INDEX runs_started;
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    group_id BIGINT NOT NULL,
    project TEXT NOT NULL,
    run_group TEXT NOT NULL,
    name TEXT NOT NULL,
    actor TEXT NOT NULL,
    status TEXT NOT NULL,
    stage TEXT NOT NULL,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT,
    deleted_ms BIGINT,
    location TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE UNIQUE INDEX runs_id ON runs (id);
CREATE INDEX runs_newest ON runs (group_id, stage, start_ms DESC, id);
CREATE INDEX runs_project ON runs (project, seq);

-- registry/params.py, registry/tags.py
CREATE TABLE run_params (
    run BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    group_id BIGINT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX run_params_value ON run_params (group_id, key, substr(value, 1, 100));
CREATE TABLE run_tags (
    run BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    group_id BIGINT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX run_tags_value ON run_tags (group_id, key, substr(value, 1, 100));

-- registry/metrics.py: the latest value of each metric of a run, null for NaN; how many points it has; and, of each
-- level below the last, how many chunks (registry/chunks.py).
ALTER TABLE metrics RENAME TO metrics_1;
CREATE TABLE metrics (
    run BIGINT NOT NULL,
    key TEXT NOT NULL,
    group_id BIGINT NOT NULL,
    value DOUBLE PRECISION,
    step BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    points BIGINT NOT NULL,
    loose INTEGER NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX metrics_value ON metrics (group_id, key, value, run);
-- `data` is columns of steps, moments and values, by moment, step and value; `seq` is the number of the first point.
-- A metric of one point has none: the row of its latest value says it.
CREATE TABLE metric_chunks (
    run BIGINT NOT NULL,
    key TEXT NOT NULL,
    level INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    points INTEGER NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (run, key, level, seq)
) WITHOUT ROWID;

-- registry/inputs.py: what a run read and made, as its client described it.
CREATE TABLE datasets (
    id BIGINT PRIMARY KEY,
    group_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source TEXT NOT NULL,
    schema TEXT,
    profile TEXT
) WITHOUT ROWID;
CREATE UNIQUE INDEX datasets_name ON datasets (group_id, name, digest);
CREATE TABLE run_datasets (
    run BIGINT NOT NULL,
    dataset BIGINT NOT NULL,
    context TEXT,
    tags TEXT NOT NULL,
    PRIMARY KEY (run, dataset)
) WITHOUT ROWID;
CREATE INDEX run_datasets_dataset ON run_datasets (dataset, run);
CREATE TABLE run_models (
    run BIGINT NOT NULL,
    direction TEXT NOT NULL,
    model_id TEXT NOT NULL,
    step BIGINT NOT NULL,
    PRIMARY KEY (run, direction, model_id, step)
) WITHOUT ROWID;
CREATE INDEX run_models_model ON run_models (model_id);
