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
    state = excluded.state, result = excluded.result, done_at = excluded.done_at
