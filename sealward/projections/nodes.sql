-- name: create
CREATE TABLE IF NOT EXISTS nodes (
    node_id BIGINT PRIMARY KEY,
    hostname TEXT NOT NULL UNIQUE,
    active BOOLEAN,
    lost BOOLEAN NOT NULL,
    registered_at TEXT NOT NULL,
    swept_at TEXT,
    counts TEXT,
    sweep_seconds DOUBLE PRECISION,
    firmware TEXT,
    policy TEXT,
    policy_position BIGINT,
    enforcement TEXT,
    enforcement_reason TEXT,
    public_key TEXT NOT NULL,
    software TEXT,
    expected BOOLEAN NOT NULL
)

-- name: drop
DROP TABLE IF EXISTS nodes

-- name: add
INSERT INTO nodes (node_id, hostname, active, lost, registered_at, public_key, expected)
VALUES (:node_id, :hostname, NULL, FALSE, :at, :public_key, :expected)

-- name: remove
DELETE FROM nodes WHERE node_id = :node_id

-- name: set-key
UPDATE nodes SET public_key = :public_key WHERE node_id = :node_id

-- name: set-active
UPDATE nodes SET active = :active WHERE node_id = :node_id

-- name: set-lost
UPDATE nodes SET lost = :lost, expected = FALSE WHERE node_id = :node_id

-- name: set-software
UPDATE nodes SET software = :software, expected = FALSE WHERE node_id = :node_id

-- name: set-swept
UPDATE nodes SET swept_at = :at, counts = :counts, sweep_seconds = :sweep_seconds, expected = FALSE
WHERE node_id = :node_id

-- name: set-firmware
UPDATE nodes SET firmware = :firmware WHERE node_id = :node_id

-- name: set-policy
UPDATE nodes SET policy = :policy, policy_position = :position WHERE node_id = :node_id

-- name: set-enforcement
UPDATE nodes SET enforcement = :enforcement, enforcement_reason = :reason, expected = FALSE
WHERE node_id = :node_id

-- name: one
SELECT * FROM nodes WHERE node_id = :node_id

-- name: of
SELECT * FROM nodes WHERE hostname = :hostname

-- name: all
SELECT * FROM nodes ORDER BY node_id

-- name: wrong
SELECT * FROM main.nodes EXCEPT SELECT * FROM shadow.nodes

-- name: missing
SELECT * FROM shadow.nodes EXCEPT SELECT * FROM main.nodes

-- name: clear
DELETE FROM main.nodes

-- name: fill
INSERT INTO main.nodes SELECT * FROM shadow.nodes
