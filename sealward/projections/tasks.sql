-- name: create
-- `state` is Celery's. A task waits (is PENDING or in RETRY) for its node or for its server's next seal.
CREATE TABLE IF NOT EXISTS tasks (
    task_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    node_id BIGINT NOT NULL,
    server_id TEXT,
    result TEXT,
    created_at TEXT NOT NULL,
    done_at TEXT
)

-- name: drop
DROP TABLE IF EXISTS tasks

-- name: add
INSERT INTO tasks (task_id, name, state, node_id, server_id, result, created_at, done_at)
VALUES (:task_id, :name, :state, :node_id, :server_id, :result, :at, :done_at)
ON CONFLICT (task_id) DO NOTHING

-- name: finish
UPDATE tasks SET state = :state, result = :result, done_at = :at
WHERE task_id = :task_id AND state IN ('PENDING', 'RETRY')

-- name: retry
UPDATE tasks SET state = 'RETRY', result = :result
WHERE task_id = :task_id AND state IN ('PENDING', 'RETRY')

-- name: revoke-of-server
UPDATE tasks SET state = 'REVOKED', done_at = :at
WHERE server_id = :server_id AND state IN ('PENDING', 'RETRY')

-- name: revoke-of-node
UPDATE tasks SET state = 'REVOKED', done_at = :at
WHERE node_id = :node_id AND server_id IS NULL AND state IN ('PENDING', 'RETRY')

-- name: one
SELECT * FROM tasks WHERE task_id = :task_id

-- name: waiting
SELECT * FROM tasks WHERE node_id = :node_id AND state IN ('PENDING', 'RETRY') ORDER BY created_at, task_id
