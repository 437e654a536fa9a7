-- name: by-servers
-- :servers is a JSON array of server ids.
SELECT * FROM signs WHERE server_id IN (SELECT json_array_elements_text(CAST(:servers AS JSON)))

-- name: elsewhere
SELECT server_id FROM signs
WHERE node_id <> :node_id AND server_id IN (SELECT json_array_elements_text(CAST(:servers AS JSON)))
ORDER BY sign_id

-- name: delete-batch
DELETE FROM signs
WHERE server_id IN (SELECT server_id FROM json_populate_recordset(NULL::signs, CAST(:batch AS JSON)))

-- name: put-batch
INSERT INTO signs SELECT * FROM json_populate_recordset(NULL::signs, CAST(:batch AS JSON))
