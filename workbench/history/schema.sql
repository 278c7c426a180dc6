CREATE TABLE processes (
    id INTEGER PRIMARY KEY,
    lock TEXT NOT NULL UNIQUE,               -- a file beside the history, locked while the process lives
    host TEXT NOT NULL,
    started TEXT NOT NULL
) STRICT;

CREATE TABLE sweeps (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    config TEXT NOT NULL,                    -- the recipe's tables with its [sweep], as JSON
    created TEXT NOT NULL
) STRICT;

CREATE TABLE experiments (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    config TEXT NOT NULL,                    -- ExperimentConfig as JSON, defaults left out
    status TEXT NOT NULL CHECK (status IN ('waiting', 'running', 'done', 'stopped', 'failed', 'interrupted')),
    message TEXT NOT NULL DEFAULT '',
    created TEXT NOT NULL,
    finished TEXT,
    deleted TEXT,                            -- when a person deleted it; NULL for most
    sweep INTEGER REFERENCES sweeps(id),     -- the sweep it belongs to
    point TEXT                               -- and what is varied there, as JSON by dotted path
) STRICT;
CREATE INDEX experiments_by_sweep ON experiments(sweep);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    experiment INTEGER NOT NULL REFERENCES experiments(id),
    role TEXT NOT NULL CHECK (role IN ('teacher', 'student', 'baseline', 'generalist', 'specialist')),
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting', 'running', 'done', 'stopped', 'failed', 'interrupted', 'skipped')),
    message TEXT NOT NULL DEFAULT '',
    config TEXT NOT NULL,                    -- RunConfig as JSON, defaults left out
    dataset TEXT NOT NULL,
    model TEXT NOT NULL,
    seed INTEGER NOT NULL,
    temperature REAL,                        -- NULL where nothing was distilled
    hard_weight REAL,
    fingerprint TEXT,
    data_digest TEXT,
    weights_sha256 TEXT,
    parameters INTEGER,
    multiply_adds INTEGER,
    steps INTEGER,
    step INTEGER NOT NULL DEFAULT 0,
    epochs REAL NOT NULL DEFAULT 0,
    train_seconds REAL NOT NULL DEFAULT 0,   -- training alone: no pause, no set-up
    samples_per_second REAL,
    attempt INTEGER NOT NULL DEFAULT 0,
    process INTEGER REFERENCES processes(id),
    continued_from INTEGER REFERENCES runs(id),
    environment TEXT NOT NULL DEFAULT '{}',
    created TEXT NOT NULL,
    started TEXT,
    finished TEXT,
    continued_step INTEGER                   -- the step of continued_from at which this run begins
) STRICT;
CREATE INDEX runs_by_fingerprint ON runs(fingerprint);
CREATE INDEX runs_by_experiment ON runs(experiment);
CREATE INDEX runs_by_status ON runs(status);

CREATE TABLE members (                       -- which runs an experiment uses, its own and those it reuses
    experiment INTEGER NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    run INTEGER NOT NULL REFERENCES runs(id),
    role TEXT NOT NULL,
    reused INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (experiment, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_run ON members(run);

CREATE TABLE lineage (
    child INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    parent INTEGER NOT NULL REFERENCES runs(id),
    PRIMARY KEY (child, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX lineage_by_parent ON lineage(parent);

CREATE TABLE params (                        -- every setting of a run, defaults too, by dotted path
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value ANY,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE points (
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    epoch REAL NOT NULL,
    elapsed REAL NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE metrics (
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    step INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (run, metric, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE nonfinite (                     -- SQLite would store NaN as NULL
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    step INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('nan', 'inf', '-inf')),
    PRIMARY KEY (run, metric, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE summary (
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    last REAL NOT NULL,
    lowest REAL NOT NULL,
    highest REAL NOT NULL,
    count INTEGER NOT NULL,
    crc INTEGER NOT NULL,                    -- CRC-32 of (step, value) in the order written
    PRIMARY KEY (run, metric)
) STRICT, WITHOUT ROWID;

CREATE TABLE curves (                        -- long curves once more, to be read sooner than from metrics and points: may be deleted
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    count INTEGER NOT NULL,                  -- of how many points it is made
    drawn BLOB NOT NULL,                     -- thinned for a plot: rows of step, epoch, elapsed, value, float64, little-endian
    whole BLOB,                              -- every point, packed: see history/curves.py
    PRIMARY KEY (run, metric)
) STRICT;

CREATE TABLE results (                       -- the figures of a finished run: val_accuracy, test_errors, teacher_kl…
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE corrections (                   -- a shift of some classes' logits that a person kept
    run INTEGER PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE,
    classes TEXT NOT NULL,                   -- their numbers, as JSON
    shift REAL NOT NULL,
    way TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;

CREATE TABLE predictions (                   -- logits of a finished run on a split, float16, zlib
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    split TEXT NOT NULL,
    cases INTEGER NOT NULL,
    classes INTEGER NOT NULL,
    logits BLOB NOT NULL,
    PRIMARY KEY (run, split)
) STRICT;

CREATE TABLE artefacts (                     -- files beside the history; path is relative to its folder
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    step INTEGER NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    created TEXT NOT NULL,
    UNIQUE (run, kind)
) STRICT;

CREATE TABLE run_notes (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    author TEXT NOT NULL CHECK (author IN ('person', 'workbench')),
    text TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;

CREATE TABLE tags (
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (run, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE queue (
    id INTEGER PRIMARY KEY,
    experiment INTEGER NOT NULL UNIQUE REFERENCES experiments(id) ON DELETE CASCADE,
    rank REAL NOT NULL,
    held INTEGER NOT NULL DEFAULT 0,         -- 1: a person holds it; 2: left behind by a process
    claimed_by INTEGER REFERENCES processes(id),
    process INTEGER REFERENCES processes(id) -- whose turn it waits for; NULL where that process is gone
) STRICT;

CREATE TABLE bin (                           -- deleted runs, until the bin is emptied
    run INTEGER PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE,
    deleted TEXT NOT NULL,
    emptied TEXT                             -- when its curves and files went; the row stays where others came from it
) STRICT;

CREATE TABLE marks (                         -- how a person marked a run
    run INTEGER PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE,
    pinned INTEGER NOT NULL DEFAULT 0,
    starred INTEGER NOT NULL DEFAULT 0,
    colour TEXT NOT NULL DEFAULT ''          -- a name of the palette, or nothing
) STRICT;

CREATE TABLE filters (                       -- expressions kept under a name
    name TEXT PRIMARY KEY,
    expression TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;

CREATE VIEW run_overview AS                  -- a line a run that is not in the bin, with its main figures
SELECT r.id AS run, e.name AS experiment, e.id AS experiment_id, r.role, r.name, r.status, r.dataset, r.model, r.seed,
    r.temperature, r.hard_weight, r.parameters, r.multiply_adds, r.epochs, r.train_seconds, r.created,
    (SELECT value FROM results WHERE run = r.id AND name = 'val_accuracy') AS val_accuracy,
    (SELECT value FROM results WHERE run = r.id AND name = 'test_accuracy') AS test_accuracy,
    (SELECT value FROM results WHERE run = r.id AND name = 'test_errors') AS test_errors,
    (SELECT value FROM results WHERE run = r.id AND name = 'test_nll') AS test_nll,
    (SELECT value FROM results WHERE run = r.id AND name = 'test_ece') AS test_ece,
    (SELECT value FROM results WHERE run = r.id AND name = 'teacher_agreement') AS teacher_agreement,
    (SELECT value FROM results WHERE run = r.id AND name = 'teacher_kl') AS teacher_kl
FROM runs r JOIN experiments e ON e.id = r.experiment WHERE r.id NOT IN (SELECT run FROM bin);

CREATE VIEW run_settings AS                  -- every setting of every run, a row each
SELECT p.run, p.key, p.value FROM params p WHERE p.run NOT IN (SELECT run FROM bin);

CREATE VIEW curve_points AS                  -- every point of every curve, with its epoch and the seconds in training
SELECT m.run, m.metric, m.step, p.epoch, p.elapsed, m.value FROM metrics m JOIN points p ON p.run = m.run AND p.step = m.step
WHERE m.run NOT IN (SELECT run FROM bin);

CREATE VIEW family AS                        -- who learned from whom
SELECT l.child AS student, l.parent AS teacher, l.position FROM lineage l
WHERE l.child NOT IN (SELECT run FROM bin) AND l.parent NOT IN (SELECT run FROM bin);
