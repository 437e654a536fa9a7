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

-- name: put
INSERT INTO tasks (task_id, name, state, node_id, server_id, result, created_at, done_at)
VALUES (:task_id, :name, :state, :node_id, :server_id, :result, :created_at, :done_at)
ON CONFLICT (task_id) DO UPDATE SET
    state = excluded.state, node_id = excluded.node_id, result = excluded.result, done_at = excluded.done_at

-- name: one
SELECT * FROM tasks WHERE task_id = :task_id

-- name: by-state
SELECT state, COUNT(*) AS tasks FROM tasks GROUP BY state

-- name: superseded
SELECT * FROM tasks WHERE node_id = :node_id AND done_at = :at AND state = 'REVOKED' ORDER BY task_id

-- name: waiting
SELECT * FROM tasks
WHERE state IN ('PENDING', 'RETRY') AND (CAST(:node_id AS BIGINT) IS NULL OR node_id = :node_id)
ORDER BY created_at, task_id
LIMIT :limit

-- name: wrong
SELECT * FROM main.tasks EXCEPT SELECT * FROM shadow.tasks

-- name: missing
SELECT * FROM shadow.tasks EXCEPT SELECT * FROM main.tasks

-- name: clear
DELETE FROM main.tasks

-- name: fill
INSERT INTO main.tasks SELECT * FROM shadow.tasks
