-- registry/shown.py: what a face has made of a run, until the run changes; `shown` says that there is something.
CREATE TABLE run_shown (
    run INTEGER PRIMARY KEY,
    data TEXT NOT NULL
);
ALTER TABLE runs ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;
