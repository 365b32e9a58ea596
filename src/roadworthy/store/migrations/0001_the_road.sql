-- The first schema. Types are those that SQLite and PostgreSQL both take.
-- A table keeps what is searched for in columns, and the whole record as JSON beside it.

-- The log (store/log.py). `record` is the exact text that was hashed.
CREATE TABLE events (
    seq BIGINT PRIMARY KEY,
    at DOUBLE PRECISION NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    project TEXT NOT NULL,
    actor TEXT NOT NULL,
    record TEXT NOT NULL,
    leaf TEXT NOT NULL
);
CREATE INDEX events_subject ON events (subject, seq);

-- One row: the right edge of the tree over the log.
CREATE TABLE log_head (
    id INTEGER PRIMARY KEY,
    size BIGINT NOT NULL,
    roots TEXT NOT NULL
);
INSERT INTO log_head (id, size, roots) VALUES (1, 0, '');

CREATE TABLE checkpoints (
    size BIGINT PRIMARY KEY,
    root TEXT NOT NULL,
    note TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL
);

-- Locks with a token: who holds a lease writes, and whoever lost it cannot (store/locks.py).
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    holder TEXT NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL
);

-- data/snapshots.py
CREATE TABLE snapshots (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    project TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (project, name, id)
);
CREATE INDEX snapshots_name ON snapshots (project, name, created_at);

-- registry/runs.py
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    run_group TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at DOUBLE PRECISION NOT NULL,
    -- the order in which runs were started, which a simulated clock may not tell
    seq BIGINT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX runs_seq ON runs (seq);
CREATE INDEX runs_started ON runs (project, seq);

-- What each run did about each step; written as each step settles, so that a killed run keeps what it had done.
CREATE TABLE step_runs (
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    place INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (run, step)
);

-- The cache: what a step with this key made (pipelines/cache.py).
CREATE TABLE step_outputs (
    key TEXT PRIMARY KEY,
    step TEXT NOT NULL,
    project TEXT NOT NULL,
    run TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX step_outputs_step ON step_outputs (project, step, created_at);

CREATE TABLE metric_points (
    run TEXT NOT NULL,
    key TEXT NOT NULL,
    step BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    value DOUBLE PRECISION,
    PRIMARY KEY (run, key, seq)
);

-- One row per metric of a run: how many points it has, and the newest, so that reading it does not scan them.
CREATE TABLE metrics (
    run TEXT NOT NULL,
    key TEXT NOT NULL,
    points BIGINT NOT NULL,
    step BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    value DOUBLE PRECISION,
    PRIMARY KEY (run, key)
);

CREATE TABLE artifacts (
    run TEXT NOT NULL,
    path TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (run, path)
);

-- registry/models.py
CREATE TABLE models (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    run TEXT NOT NULL,
    digest TEXT NOT NULL,
    project TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE TABLE aliases (
    name TEXT NOT NULL,
    alias TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (name, alias)
);

-- gates/certificate.py, gates/approvals.py
CREATE TABLE certificates (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    passed INTEGER NOT NULL,
    issued_at DOUBLE PRECISION NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX certificates_model ON certificates (model, issued_at);
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    role TEXT NOT NULL,
    actor TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    comment TEXT NOT NULL
);
CREATE INDEX approvals_model ON approvals (model);

-- releases/releases.py
CREATE TABLE releases (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    target TEXT NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX releases_target ON releases (project, target, created_at);

-- operate/monitors.py, operate/alerts.py
CREATE TABLE windows (
    project TEXT NOT NULL,
    monitor TEXT NOT NULL,
    model TEXT NOT NULL,
    start_at DOUBLE PRECISION NOT NULL,
    end_at DOUBLE PRECISION NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (project, monitor, model, start_at)
);
CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    monitor TEXT NOT NULL,
    model TEXT NOT NULL,
    opened_at DOUBLE PRECISION NOT NULL,
    closed_at DOUBLE PRECISION,
    record TEXT NOT NULL
);

-- operate/journal.py: where the loop is, so that it can be killed at any point and go on.
CREATE TABLE operate_state (
    project TEXT PRIMARY KEY,
    updated_at DOUBLE PRECISION NOT NULL,
    record TEXT NOT NULL
);
