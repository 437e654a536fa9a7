-- name: create-sequences
CREATE TABLE IF NOT EXISTS sequences (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
)

-- name: next-id
-- The integer ids that API clients know. A command that is refused afterwards leaves a gap.
INSERT INTO sequences (name, value) VALUES (?, 1)
ON CONFLICT (name) DO UPDATE SET value = value + 1
RETURNING value
