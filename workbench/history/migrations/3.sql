CREATE TABLE sweeps (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    config TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
ALTER TABLE experiments ADD COLUMN sweep INTEGER REFERENCES sweeps(id);
ALTER TABLE experiments ADD COLUMN point TEXT;
CREATE INDEX experiments_by_sweep ON experiments(sweep);
