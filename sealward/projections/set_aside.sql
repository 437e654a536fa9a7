-- name: create
CREATE TABLE IF NOT EXISTS set_aside (
    position BIGINT PRIMARY KEY,
    topic TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    at TEXT NOT NULL
)

-- name: drop
DROP TABLE IF EXISTS set_aside

-- name: put
INSERT INTO set_aside (position, topic, reason, detail, at) VALUES (:position, :topic, :reason, :detail, :at)
ON CONFLICT (position) DO UPDATE SET reason = excluded.reason, detail = excluded.detail, at = excluded.at

-- name: all
SELECT * FROM set_aside ORDER BY position

-- name: count
SELECT COUNT(*) AS events FROM set_aside

-- name: wrong
-- When an event was set aside, and in which words, may differ.
SELECT position, topic, reason FROM main.set_aside EXCEPT SELECT position, topic, reason FROM shadow.set_aside

-- name: missing
SELECT position, topic, reason FROM shadow.set_aside EXCEPT SELECT position, topic, reason FROM main.set_aside

-- name: clear
DELETE FROM main.set_aside

-- name: fill
INSERT INTO main.set_aside SELECT * FROM shadow.set_aside
