-- name: names
-- :servers is a JSON array of server ids. A sign says the name last.
SELECT server_id, instance_name, 0 AS said FROM servers
WHERE server_id IN (SELECT value FROM json_each(:servers))
UNION ALL
SELECT server_id, instance_name, 1 AS said FROM signs
WHERE server_id IN (SELECT value FROM json_each(:servers))
ORDER BY said
