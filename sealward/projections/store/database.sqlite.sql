-- name: lock
UPDATE main.position SET value = value

-- name: not-durable
-- Nothing: with synchronous=NORMAL no commit is waited for on the disk.
SELECT NULL

-- name: is-made
SELECT count(*) > 0 AS is_made FROM sqlite_master WHERE type = 'table' AND name = 'position'

-- name: savepoint
SAVEPOINT attempt

-- name: rollback
ROLLBACK TO attempt

-- name: release
RELEASE attempt

-- name: attach-shadow
ATTACH DATABASE ? AS shadow

-- name: detach-shadow
DETACH DATABASE shadow
