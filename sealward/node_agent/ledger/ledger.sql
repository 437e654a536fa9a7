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

-- name: create-policies
-- server_id is empty for the node's own.
CREATE TABLE IF NOT EXISTS policies (
    server_id TEXT PRIMARY KEY,
    policy TEXT NOT NULL,
    position INTEGER
)

-- name: create-reactions
-- Until when a server may shut down; empty once nothing more is to be done.
CREATE TABLE IF NOT EXISTS reactions (
    server_id TEXT PRIMARY KEY,
    until TEXT NOT NULL
)

-- name: create-bindings
-- What each server's host-bound parts may be: `events.binding` as JSON.
CREATE TABLE IF NOT EXISTS bindings (
    server_id TEXT PRIMARY KEY,
    binding TEXT NOT NULL
)

-- name: binding
SELECT binding FROM bindings WHERE server_id = ?

-- name: create-expanded
-- The digests of the values that libvirt expanded for this node whenever a server ran as it was signed.
CREATE TABLE IF NOT EXISTS expanded (
    server_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (server_id, digest)
)

-- name: expanded
SELECT digest FROM expanded WHERE server_id = ?

-- name: keep-expanded
INSERT OR IGNORE INTO expanded (server_id, digest) VALUES (?, ?)

-- name: forget-expanded
DELETE FROM expanded WHERE server_id = ?

-- name: has-expanded
SELECT name FROM sqlite_master WHERE name = 'expanded'

-- name: has-bindings
SELECT name FROM sqlite_master WHERE name = 'bindings'

-- name: keep-binding
INSERT INTO bindings (server_id, binding) VALUES (?, ?)
ON CONFLICT (server_id) DO UPDATE SET binding = excluded.binding

-- name: forget-binding
DELETE FROM bindings WHERE server_id = ?

-- name: clear-bindings
DELETE FROM bindings

-- name: create-saved-images
-- The image of the managed save of each server that has one: `ledger.saved_images` as JSON.
CREATE TABLE IF NOT EXISTS saved_images (
    server_id TEXT PRIMARY KEY,
    image TEXT NOT NULL
)

-- name: has-saved-images
SELECT name FROM sqlite_master WHERE name = 'saved_images'

-- name: saved-image
SELECT image FROM saved_images WHERE server_id = ?

-- name: keep-saved-image
INSERT INTO saved_images (server_id, image) VALUES (?, ?)
ON CONFLICT (server_id) DO UPDATE SET image = excluded.image

-- name: forget-saved-image
DELETE FROM saved_images WHERE server_id = ?

-- name: create-belongings
-- The name and disks of each server whose reference is here (`node_agent.belongings`), as of that reference.
CREATE TABLE IF NOT EXISTS belongings (
    server_id TEXT NOT NULL,
    sign_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    belonging TEXT NOT NULL,
    PRIMARY KEY (server_id, belonging)
)

-- name: has-belongings
SELECT name FROM sqlite_master WHERE name = 'belongings'

-- name: keeps-belongings
SELECT belonging FROM belongings WHERE server_id = ? AND sign_id = ? AND generation = ? LIMIT 1

-- name: keep-belonging
INSERT INTO belongings (server_id, sign_id, generation, belonging) VALUES (?, ?, ?, ?)

-- name: forget-belongings
DELETE FROM belongings WHERE server_id = ?

-- name: forget-belongings-of-others
DELETE FROM belongings WHERE server_id NOT IN (SELECT server_id FROM entries)

-- name: owners
-- ? is a JSON array of belongings.
SELECT server_id, belonging FROM belongings
WHERE belonging IN (SELECT value FROM json_each(?)) ORDER BY belonging, server_id

-- name: entries
SELECT server_id, sign_id, generation, envelope FROM entries ORDER BY sign_id

-- name: server-ids
SELECT server_id FROM entries

-- name: policies
SELECT server_id, policy, position FROM policies

-- name: put
-- An older generation never replaces a newer generation.
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

-- name: clear-policies
DELETE FROM policies

-- name: policy
SELECT policy, position FROM policies WHERE server_id = ?

-- name: keep-policy
INSERT INTO policies (server_id, policy, position) VALUES (?, ?, ?)
ON CONFLICT (server_id) DO UPDATE SET policy = excluded.policy, position = excluded.position

-- name: forget-policy
DELETE FROM policies WHERE server_id = ?

-- name: all-facts
SELECT name, value FROM facts

-- name: entry
SELECT sign_id, generation, envelope FROM entries WHERE server_id = ?

-- name: reactions
SELECT server_id FROM reactions

-- name: reaction
SELECT until FROM reactions WHERE server_id = ?

-- name: keep-reaction
INSERT INTO reactions (server_id, until) VALUES (?, ?)
ON CONFLICT (server_id) DO UPDATE SET until = excluded.until

-- name: forget-reaction
DELETE FROM reactions WHERE server_id = ?
