-- name: create
CREATE TABLE IF NOT EXISTS signs (
    sign_id BIGINT PRIMARY KEY,
    server_id TEXT NOT NULL UNIQUE,
    node_id BIGINT NOT NULL,
    instance_name TEXT NOT NULL,
    ordered INTEGER NOT NULL,
    sealed INTEGER NOT NULL,
    is_valid TEXT NOT NULL,
    fresh_until TEXT NOT NULL,
    checked_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    verdict TEXT NOT NULL,
    policy TEXT NOT NULL,
    policy_position BIGINT,
    binding TEXT,
    leaving_to TEXT,
    claims INTEGER NOT NULL,
    ordered_task TEXT
)

-- name: drop
DROP TABLE IF EXISTS signs

-- name: by-server
SELECT sign_id, server_id, node_id, instance_name, ordered, sealed, created_at, updated_at, verdict, policy,
       policy_position, binding, leaving_to, ordered_task
FROM signs WHERE server_id = :server_id

-- name: by-node
SELECT * FROM signs WHERE node_id = :node_id

-- name: unsettled
SELECT server_id FROM signs
WHERE node_id = :node_id AND (claims > 0 OR leaving_to IS NOT NULL)
ORDER BY sign_id

-- name: claimed
SELECT COUNT(*) AS signs FROM signs WHERE claims > 0

-- name: page
-- A true that is no longer fresh reads as unknown (verdict rule 4).
SELECT * FROM signs
WHERE sign_id > :after
  AND (CAST(:node_id AS BIGINT) IS NULL OR node_id = :node_id)
  AND (CAST(:is_valid AS TEXT) IS NULL OR :is_valid =
       CASE WHEN is_valid = 'true' AND fresh_until <= :now THEN 'unknown' ELSE is_valid END)
ORDER BY sign_id
LIMIT :limit OFFSET :offset

-- name: tally
SELECT CASE WHEN is_valid = 'true' AND fresh_until <= :now THEN 'unknown' ELSE is_valid END AS verdict,
       COUNT(*) AS signs, MIN(checked_at) AS oldest
FROM signs
GROUP BY 1

-- name: delete
DELETE FROM signs WHERE server_id = :server_id

-- name: put
INSERT INTO signs (sign_id, server_id, node_id, instance_name, ordered, sealed, is_valid, fresh_until,
                   checked_at, created_at, updated_at, verdict, policy, policy_position, binding, leaving_to,
                   claims, ordered_task)
VALUES (:sign_id, :server_id, :node_id, :instance_name, :ordered, :sealed, :is_valid, :fresh_until,
        :checked_at, :created_at, :updated_at, :verdict, :policy, :policy_position, :binding, :leaving_to,
        :claims, :ordered_task)

-- name: wrong
SELECT * FROM main.signs EXCEPT SELECT * FROM shadow.signs

-- name: missing
SELECT * FROM shadow.signs EXCEPT SELECT * FROM main.signs

-- name: clear
DELETE FROM main.signs

-- name: fill
INSERT INTO main.signs SELECT * FROM shadow.signs
