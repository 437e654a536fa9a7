-- name: create-position
CREATE TABLE IF NOT EXISTS position (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    value BIGINT NOT NULL,
    shape TEXT NOT NULL
)

-- name: position
SELECT value, shape FROM position

-- name: set-position
INSERT INTO position (only, value, shape) VALUES (1, :value, :shape)
ON CONFLICT (only) DO UPDATE SET value = excluded.value, shape = excluded.shape
