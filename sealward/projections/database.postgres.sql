-- name: set-position
-- Whoever waits for this position, in whatever process, is told when the transaction commits.
INSERT INTO position (id, value, shape) VALUES (1, :value, :shape)
ON CONFLICT (id) DO UPDATE SET value = excluded.value, shape = excluded.shape
RETURNING pg_notify('sealward_rows', '')
