-- name: create-entries
CREATE TABLE IF NOT EXISTS entries (
    server_id TEXT PRIMARY KEY,
    sign_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    envelope TEXT NOT NULL
)

-- name: create-facts
CREATE TABLE IF NOT EXISTS facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
)

-- name: entries
SELECT server_id, sign_id, generation, envelope FROM entries ORDER BY sign_id

-- name: put
-- Never an older generation over a newer one.
INSERT INTO entries (server_id, sign_id, generation, envelope) VALUES (?, ?, ?, ?)
ON CONFLICT (server_id) DO UPDATE SET
    sign_id = excluded.sign_id, generation = excluded.generation, envelope = excluded.envelope
WHERE (excluded.sign_id, excluded.generation) >= (entries.sign_id, entries.generation)

-- name: remove
DELETE FROM entries WHERE server_id = ?

-- name: clear
DELETE FROM entries

-- name: fact
SELECT value FROM facts WHERE name = ?

-- name: keep-fact
INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value
