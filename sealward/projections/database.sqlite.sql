-- name: lock
UPDATE main.position SET value = value
