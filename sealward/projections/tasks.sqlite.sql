-- name: touched
-- Tasks by their ids, and those that wait for one of the servers or nodes; all JSON arrays.
SELECT * FROM tasks WHERE task_id IN (SELECT value FROM json_each(:tasks))
UNION
SELECT * FROM tasks WHERE state IN ('PENDING', 'RETRY')
  AND (server_id IN (SELECT value FROM json_each(:servers))
       OR server_id IS NULL AND node_id IN (SELECT value FROM json_each(:nodes)))
