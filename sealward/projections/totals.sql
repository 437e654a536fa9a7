-- name: create
CREATE TABLE IF NOT EXISTS totals (
    topic TEXT PRIMARY KEY,
    events BIGINT NOT NULL
)

-- name: drop
DROP TABLE IF EXISTS totals

-- name: add
INSERT INTO totals (topic, events) VALUES (:topic, :events)
ON CONFLICT (topic) DO UPDATE SET events = totals.events + excluded.events

-- name: all
SELECT * FROM totals ORDER BY topic

-- name: wrong
SELECT * FROM main.totals EXCEPT SELECT * FROM shadow.totals

-- name: missing
SELECT * FROM shadow.totals EXCEPT SELECT * FROM main.totals

-- name: clear
DELETE FROM main.totals

-- name: fill
INSERT INTO main.totals SELECT * FROM shadow.totals
