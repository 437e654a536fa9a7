-- name: create
CREATE TABLE IF NOT EXISTS hosts (
    hostname TEXT PRIMARY KEY,
    registered BOOLEAN NOT NULL
)

-- name: drop
DROP TABLE IF EXISTS hosts

-- name: add
INSERT INTO hosts (hostname, registered) VALUES (:hostname, :registered)
ON CONFLICT (hostname) DO UPDATE SET registered = excluded.registered

-- name: uninvite
DELETE FROM hosts WHERE hostname = :hostname AND NOT registered

-- name: remove
DELETE FROM hosts WHERE hostname = :hostname

-- name: all
SELECT hostname FROM hosts ORDER BY hostname

-- name: wrong
SELECT * FROM main.hosts EXCEPT SELECT * FROM shadow.hosts

-- name: missing
SELECT * FROM shadow.hosts EXCEPT SELECT * FROM main.hosts

-- name: clear
DELETE FROM main.hosts

-- name: fill
INSERT INTO main.hosts SELECT * FROM shadow.hosts
