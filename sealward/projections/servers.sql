-- name: create
-- A server can be on two nodes, at least while it moves: the node on which it runs comes first, then the node with the latest report.
CREATE TABLE IF NOT EXISTS servers (
    server_id TEXT NOT NULL,
    node_id BIGINT NOT NULL,
    hostname TEXT NOT NULL,
    instance_name TEXT NOT NULL,
    position BIGINT NOT NULL,
    running INTEGER NOT NULL,
    PRIMARY KEY (server_id, node_id, instance_name)
)

-- name: drop
DROP TABLE IF EXISTS servers

-- name: appear
INSERT INTO servers (server_id, node_id, hostname, instance_name, position, running)
VALUES (:server_id, :node_id, :hostname, :instance_name, :position, :running)
ON CONFLICT (server_id, node_id, instance_name) DO UPDATE SET
    position = excluded.position, running = excluded.running

-- name: leave
DELETE FROM servers
WHERE server_id = :server_id AND node_id = :node_id AND instance_name = :instance_name

-- name: leave-node
DELETE FROM servers WHERE node_id = :node_id

-- name: find
SELECT * FROM servers WHERE server_id = :server_id ORDER BY running DESC, position DESC LIMIT 1

-- name: everywhere
SELECT * FROM servers WHERE server_id = :server_id ORDER BY running DESC, position DESC

-- name: elsewhere
SELECT * FROM servers
WHERE server_id = :server_id AND node_id <> :node_id
ORDER BY running DESC, position DESC

-- name: named
SELECT server_id FROM servers WHERE instance_name = :name
UNION
SELECT server_id FROM signs WHERE instance_name = :name

-- name: page
SELECT servers.*, signs.sign_id IS NOT NULL AS signed
FROM servers LEFT JOIN signs USING (server_id)
WHERE servers.server_id > :after
  AND (CAST(:signed AS BOOLEAN) IS NULL OR :signed = (signs.sign_id IS NOT NULL))
  AND (CAST(:node_id AS BIGINT) IS NULL OR servers.node_id = :node_id)
ORDER BY servers.server_id, servers.running, servers.position
LIMIT :limit OFFSET :offset

-- name: wrong
SELECT * FROM main.servers EXCEPT SELECT * FROM shadow.servers

-- name: missing
SELECT * FROM shadow.servers EXCEPT SELECT * FROM main.servers

-- name: clear
DELETE FROM main.servers

-- name: fill
INSERT INTO main.servers SELECT * FROM shadow.servers
