-- What charts of traces are made of, out of the JSON in which it came (faces/server/mlflow/traces/figures.py): tokens of
-- a trace by what they were for, and the model, tokens and cost of a span.
CREATE TABLE trace_numbers (
    trace BIGINT NOT NULL,
    name TEXT NOT NULL,
    number DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (trace, name)
) WITHOUT ROWID;
ALTER TABLE spans ADD COLUMN model TEXT;
ALTER TABLE spans ADD COLUMN provider TEXT;
ALTER TABLE spans ADD COLUMN input_cost DOUBLE PRECISION;
ALTER TABLE spans ADD COLUMN output_cost DOUBLE PRECISION;
ALTER TABLE spans ADD COLUMN total_cost DOUBLE PRECISION;
-- tokens by what they were for, as JSON
ALTER TABLE spans ADD COLUMN tokens TEXT;
