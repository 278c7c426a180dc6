ALTER TABLE bin ADD COLUMN emptied TEXT;
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
