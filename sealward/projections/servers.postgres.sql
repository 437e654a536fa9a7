-- name: leave-batch
DELETE FROM servers
WHERE (server_id, node_id, instance_name) IN (
    SELECT server_id, node_id, instance_name
    FROM json_populate_recordset(NULL::servers, CAST(:batch AS JSON))
)

-- name: appear-batch
INSERT INTO servers SELECT * FROM json_populate_recordset(NULL::servers, CAST(:batch AS JSON))
