-- name: attach
ATTACH DATABASE ? AS shadow

-- name: detach
DETACH DATABASE shadow
