-- name: leave-batch
DELETE FROM servers
WHERE (server_id, node_id, instance_name) IN (
    SELECT server_id, node_id, instance_name
    FROM json_populate_recordset(NULL::servers, CAST(:batch AS JSON))
)

-- name: appear-batch
INSERT INTO servers SELECT * FROM json_populate_recordset(NULL::servers, CAST(:batch AS JSON))

-- name: names
-- :servers is a JSON array of server ids. A sign says the name last.
SELECT server_id, instance_name, 0 AS said FROM servers
WHERE server_id IN (SELECT json_array_elements_text(CAST(:servers AS JSON)))
UNION ALL
SELECT server_id, instance_name, 1 AS said FROM signs
WHERE server_id IN (SELECT json_array_elements_text(CAST(:servers AS JSON)))
ORDER BY said
