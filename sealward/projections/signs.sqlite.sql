-- name: by-servers
-- :servers is a JSON array of server ids.
SELECT * FROM signs WHERE server_id IN (SELECT value FROM json_each(:servers))
