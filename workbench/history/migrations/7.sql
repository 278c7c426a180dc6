CREATE TABLE curves (                        -- long curves once more, to be read sooner than from metrics and points: may be deleted
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    count INTEGER NOT NULL,                  -- of how many points it is made
    drawn BLOB NOT NULL,                     -- thinned for a plot: rows of step, epoch, elapsed, value, float64, little-endian
    whole BLOB,                              -- every point, packed: see history/curves.py
    PRIMARY KEY (run, metric)
) STRICT;

INSERT INTO curves SELECT run, metric, count, curve, NULL FROM thinned;

DROP TABLE thinned;
