ALTER TABLE experiments ADD COLUMN deleted TEXT;
ALTER TABLE runs ADD COLUMN continued_step INTEGER;
ALTER TABLE queue ADD COLUMN process INTEGER REFERENCES processes(id);
UPDATE queue SET held = 1 WHERE claimed_by IS NULL;
