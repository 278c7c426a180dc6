CREATE TABLE thinned (                       -- long curves as they are drawn, made from metrics and points: may be deleted
    run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    count INTEGER NOT NULL,                  -- of how many points it is made
    curve BLOB NOT NULL,                     -- rows of step, epoch, elapsed, value, float64, little-endian
    PRIMARY KEY (run, metric)
) STRICT;

INSERT OR IGNORE INTO params                 -- options that came after these runs, with what they were trained with
SELECT p.run, o.column1, o.column2 FROM params p, (VALUES ('model.activation', 'relu'), ('model.bias', 'true')) o
WHERE p.key = 'model' AND p.value IN ('mlp', 'cnn');
