-- name: set-position
-- All processes that wait for this position are told when the transaction commits.
INSERT INTO position (id, value, shape) VALUES (1, :value, :shape)
ON CONFLICT (id) DO UPDATE SET value = excluded.value, shape = excluded.shape
RETURNING pg_notify('sealward_rows', '')

-- name: not-durable
-- The commit is not waited for on the disk: a crash takes the last rows and their position away, and they are folded again.
SET LOCAL synchronous_commit TO off

-- name: schema
-- NULL where there is no such schema.
SELECT to_regnamespace(:schema)::text AS schema

-- name: is-made
SELECT to_regclass('position') IS NOT NULL AS is_made
