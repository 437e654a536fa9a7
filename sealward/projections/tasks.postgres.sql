-- name: touched
-- Tasks by their ids, and those that wait for one of the servers or nodes; all JSON arrays.
SELECT * FROM tasks WHERE task_id IN (SELECT json_array_elements_text(CAST(:tasks AS JSON)))
UNION
SELECT * FROM tasks WHERE state IN ('PENDING', 'RETRY')
  AND (server_id IN (SELECT json_array_elements_text(CAST(:servers AS JSON)))
       OR server_id IS NULL
          AND node_id IN (SELECT CAST(one AS BIGINT) FROM json_array_elements_text(CAST(:nodes AS JSON)) AS one))

-- name: put-batch
INSERT INTO tasks SELECT * FROM json_populate_recordset(NULL::tasks, CAST(:batch AS JSON))
ON CONFLICT (task_id) DO UPDATE SET
    state = excluded.state, node_id = excluded.node_id, result = excluded.result, done_at = excluded.done_at

-- name: drop
DROP TABLE IF EXISTS tasks CASCADE

-- name: create
-- The table as tasks.sql has it, and over it the result table of Celery 5.7's database backend, with all columns that
-- its clients know. Errors read {"exc_type", "exc_message", "exc_module"}; a result's bytes are UTF-8 JSON. Clients
-- also look for a second table and two sequences, and would make them if they might.
DO $$ BEGIN
CREATE TABLE IF NOT EXISTS tasks (
    task_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    node_id BIGINT NOT NULL,
    server_id TEXT,
    result TEXT,
    created_at TEXT NOT NULL,
    done_at TEXT
);
CREATE INDEX IF NOT EXISTS tasks_waiting ON tasks (node_id) WHERE state IN ('PENDING', 'RETRY');
CREATE INDEX IF NOT EXISTS tasks_waiting_for_server ON tasks (server_id) WHERE state IN ('PENDING', 'RETRY');
CREATE OR REPLACE VIEW celery_taskmeta AS
SELECT
    hashtext(task_id) AS id,
    CAST(task_id AS VARCHAR(155)) AS task_id,
    CAST(state AS VARCHAR(50)) AS status,
    convert_to(CASE state
        WHEN 'REVOKED' THEN
            '{"exc_type": "TaskRevokedError", "exc_message": ["superseded"], "exc_module": "celery.exceptions"}'
        WHEN 'RETRY' THEN json_build_object(
            'exc_type', 'Retry', 'exc_message', CAST(result AS JSON) -> 'reasons',
            'exc_module', 'celery.exceptions')::TEXT
        WHEN 'FAILURE' THEN json_build_object(
            'exc_type', 'NotMeasured', 'exc_message', CAST(result AS JSON) -> 'reasons',
            'exc_module', 'sealward')::TEXT
        ELSE result
    END, 'UTF8') AS result,
    CAST(done_at AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS date_done,
    CASE state WHEN 'FAILURE' THEN
        'NotMeasured: ' || (CAST(result AS JSON) ->> 'reasons') || ', node ' || node_id || ', ' || done_at
    END AS traceback,
    CAST(NULL AS BYTEA) AS children,
    CAST(name AS VARCHAR(155)) AS name,
    convert_to('[]', 'UTF8') AS args,
    convert_to(json_build_object('node_id', node_id, 'server_id', server_id)::TEXT, 'UTF8') AS kwargs,
    CAST((SELECT 'sealward@' || hostname FROM nodes WHERE nodes.node_id = tasks.node_id) AS VARCHAR(155)) AS worker,
    0 AS retries,
    CAST('sealward' AS VARCHAR(155)) AS queue,
    CAST(NULL AS BYTEA) AS stamps
FROM tasks;
CREATE TABLE IF NOT EXISTS celery_tasksetmeta (
    id INTEGER PRIMARY KEY,
    taskset_id VARCHAR(155) UNIQUE,
    result BYTEA,
    date_done TIMESTAMP
);
CREATE SEQUENCE IF NOT EXISTS task_id_sequence;
CREATE SEQUENCE IF NOT EXISTS taskset_id_sequence;
END $$
