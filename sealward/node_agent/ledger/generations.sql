-- name: create-generations
CREATE TABLE IF NOT EXISTS generations (
    server_id TEXT PRIMARY KEY,
    sign_id INTEGER NOT NULL,
    generation INTEGER NOT NULL
)

-- name: note
-- Never back.
INSERT INTO generations (server_id, sign_id, generation) VALUES (?, ?, ?)
ON CONFLICT (server_id) DO UPDATE SET sign_id = excluded.sign_id, generation = excluded.generation
WHERE (excluded.sign_id, excluded.generation) > (generations.sign_id, generations.generation)

-- name: newest
SELECT sign_id, generation FROM generations WHERE server_id = ?

-- name: forget
DELETE FROM generations WHERE server_id = ?

-- name: forget-others
-- ? is a JSON array of server ids.
DELETE FROM generations WHERE server_id NOT IN (SELECT value FROM json_each(?))
