-- name: create
-- The Merkle tree over the log, as tiles of up to 256 hashes of 32 bytes: see events/tlog/tiles.py.
CREATE TABLE IF NOT EXISTS tree_tiles (
    level INTEGER NOT NULL,
    number BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (level, number)
)

-- name: drop
DROP TABLE IF EXISTS tree_tiles

-- name: create-runs
-- Positions of the log have gaps, leaves of the tree have none. A run is a range of positions without a gap, and has
-- the position and the leaf that it begins with.
CREATE TABLE IF NOT EXISTS tree_runs (
    position BIGINT PRIMARY KEY,
    leaf BIGINT NOT NULL UNIQUE
)

-- name: drop-runs
DROP TABLE IF EXISTS tree_runs

-- name: put
INSERT INTO tree_tiles (level, number, data) VALUES (:level, :number, :data)
ON CONFLICT (level, number) DO UPDATE SET data = excluded.data

-- name: put-run
INSERT INTO tree_runs (position, leaf) VALUES (:position, :leaf)

-- name: tile
SELECT data FROM tree_tiles WHERE level = :level AND number = :number

-- name: run-at
SELECT position, leaf FROM tree_runs WHERE position <= :position ORDER BY position DESC LIMIT 1

-- name: run-of
SELECT position, leaf FROM tree_runs WHERE leaf <= :leaf ORDER BY leaf DESC LIMIT 1

-- name: next-run
SELECT position, leaf FROM tree_runs WHERE position > :position ORDER BY position LIMIT 1

-- name: first-changed
-- The first tile of leaves that is not in both tables.
SELECT number FROM (
    SELECT number FROM (SELECT * FROM main.tree_tiles EXCEPT SELECT * FROM shadow.tree_tiles) AS stood WHERE level = 0
    UNION
    SELECT number FROM (SELECT * FROM shadow.tree_tiles EXCEPT SELECT * FROM main.tree_tiles) AS given WHERE level = 0
) AS changed ORDER BY number LIMIT 1

-- name: stood
SELECT data FROM main.tree_tiles WHERE level = 0 AND number = :number

-- name: given
SELECT data FROM shadow.tree_tiles WHERE level = 0 AND number = :number

-- name: stood-at
SELECT position, leaf FROM main.tree_runs WHERE leaf <= :leaf ORDER BY leaf DESC LIMIT 1

-- name: given-at
SELECT position, leaf FROM shadow.tree_runs WHERE leaf <= :leaf ORDER BY leaf DESC LIMIT 1
