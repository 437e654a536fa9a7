-- name: create-position
CREATE TABLE IF NOT EXISTS position (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value BIGINT NOT NULL,
    shape TEXT NOT NULL
)

-- name: position
SELECT value, shape FROM position

-- name: set-position
INSERT INTO position (id, value, shape) VALUES (1, :value, :shape)
ON CONFLICT (id) DO UPDATE SET value = excluded.value, shape = excluded.shape
