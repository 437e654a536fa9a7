-- name: by-servers
-- :servers is a JSON array of server ids.
SELECT * FROM signs WHERE server_id IN (SELECT value FROM json_each(:servers))

-- name: elsewhere
SELECT server_id FROM signs
WHERE node_id <> :node_id AND server_id IN (SELECT value FROM json_each(:servers))
ORDER BY sign_id
