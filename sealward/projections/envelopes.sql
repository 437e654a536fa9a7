-- name: create
CREATE TABLE IF NOT EXISTS envelopes (
    server_id TEXT PRIMARY KEY,
    envelope TEXT NOT NULL
)

-- name: drop
DROP TABLE IF EXISTS envelopes

-- name: put
INSERT INTO envelopes (server_id, envelope) VALUES (:server_id, :envelope)
ON CONFLICT (server_id) DO UPDATE SET envelope = excluded.envelope

-- name: forget
DELETE FROM envelopes WHERE server_id = :server_id

-- name: one
SELECT envelope FROM envelopes WHERE server_id = :server_id

-- name: of-node
SELECT envelopes.server_id, envelopes.envelope
FROM envelopes JOIN signs USING (server_id)
WHERE signs.node_id = :node_id

-- name: wrong
SELECT * FROM main.envelopes EXCEPT SELECT * FROM shadow.envelopes

-- name: missing
SELECT * FROM shadow.envelopes EXCEPT SELECT * FROM main.envelopes

-- name: clear
DELETE FROM main.envelopes

-- name: fill
INSERT INTO main.envelopes SELECT * FROM shadow.envelopes
