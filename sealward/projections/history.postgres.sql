-- name: add-batch
INSERT INTO history SELECT * FROM json_populate_recordset(NULL::history, CAST(:batch AS JSON))

-- name: add-copy
-- In the order of the values that the projection gives.
COPY history (position, server_id, node_id, topic, at, actor, task_id, request_id, origin, data) FROM STDIN
