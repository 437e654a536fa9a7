-- name: create-digests
CREATE TABLE IF NOT EXISTS digests (
    file TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    root TEXT NOT NULL,
    hashed_at REAL NOT NULL
)

-- name: create-leaves
CREATE TABLE IF NOT EXISTS leaves (
    root TEXT PRIMARY KEY,
    digests BLOB NOT NULL,
    seen_at REAL NOT NULL
)

-- name: create-progress
CREATE TABLE IF NOT EXISTS progress (
    file TEXT NOT NULL,
    state TEXT NOT NULL,
    first INTEGER NOT NULL,
    digests BLOB NOT NULL,
    PRIMARY KEY (file, first)
)

-- name: digests
SELECT file, state, root, hashed_at FROM digests

-- name: digest
SELECT state, root, hashed_at FROM digests WHERE file = ?

-- name: put-digest
INSERT INTO digests (file, state, root, hashed_at) VALUES (?, ?, ?, ?)
ON CONFLICT (file) DO UPDATE SET state = excluded.state, root = excluded.root, hashed_at = excluded.hashed_at

-- name: forget-digest
DELETE FROM digests WHERE file = ?

-- name: forget-digests
DELETE FROM digests WHERE hashed_at < ?

-- name: put-leaves
INSERT INTO leaves (root, digests, seen_at) VALUES (?, ?, ?) ON CONFLICT (root) DO UPDATE SET seen_at = excluded.seen_at

-- name: leaves
SELECT digests FROM leaves WHERE root = ?

-- name: forget-leaves
-- The newest stay, up to so many bytes; a root is seen anew whenever a file is found to have it.
DELETE FROM leaves WHERE root IN (
    SELECT root FROM (
        SELECT root, SUM(LENGTH(digests)) OVER (ORDER BY seen_at DESC, root) AS total FROM leaves
    ) WHERE total > ?
)

-- name: put-progress
INSERT OR REPLACE INTO progress (file, state, first, digests) VALUES (?, ?, ?, ?)

-- name: progress
SELECT first, digests FROM progress WHERE file = ? AND state = ? ORDER BY first

-- name: forget-progress
DELETE FROM progress WHERE file = ?
