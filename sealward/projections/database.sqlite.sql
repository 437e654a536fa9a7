-- name: lock
UPDATE main.position SET value = value

-- name: not-durable
-- Nothing: with synchronous=NORMAL no commit is waited for on the disk.
SELECT NULL
