-- name: create
-- Every event that is about a server; the fields that only its type has are JSON.
CREATE TABLE IF NOT EXISTS history (
    position BIGINT PRIMARY KEY,
    server_id TEXT,
    node_id BIGINT NOT NULL,
    topic TEXT NOT NULL,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    task_id TEXT,
    request_id TEXT,
    origin TEXT NOT NULL,
    data TEXT NOT NULL
)

-- name: create-index
CREATE INDEX IF NOT EXISTS history_by_server ON history (server_id, position)

-- name: drop
DROP TABLE IF EXISTS history

-- name: forget-from
-- An event that is not folded yet has no row, unless another process has put a row there.
DELETE FROM history WHERE position >= :position

-- name: add
INSERT INTO history (position, server_id, node_id, topic, at, actor, task_id, request_id, origin, data)
VALUES (:position, :server_id, :node_id, :topic, :at, :actor, :task_id, :request_id, :origin, :data)

-- name: of-server
SELECT * FROM history WHERE server_id = :server_id AND position > :after
ORDER BY position LIMIT :limit

-- name: wrong
SELECT * FROM main.history EXCEPT SELECT * FROM shadow.history

-- name: missing
SELECT * FROM shadow.history EXCEPT SELECT * FROM main.history

-- name: clear
DELETE FROM main.history

-- name: fill
INSERT INTO main.history SELECT * FROM shadow.history
