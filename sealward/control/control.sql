-- name: create-leases
CREATE TABLE IF NOT EXISTS leases (
    hostname TEXT PRIMARY KEY,
    seen_at TEXT NOT NULL
)

-- name: touch
-- A JSON object: hostname → moment.
INSERT INTO leases (hostname, seen_at) SELECT key, value FROM json_each(?) WHERE TRUE
ON CONFLICT (hostname) DO UPDATE SET seen_at = excluded.seen_at

-- name: silent
SELECT hostname FROM leases WHERE seen_at < ? ORDER BY hostname

-- name: seen
SELECT hostname, seen_at FROM leases

-- name: forget-lease
-- A lease that was renewed meanwhile stays.
DELETE FROM leases WHERE hostname = ? AND seen_at < ?

-- name: create-places
CREATE TABLE IF NOT EXISTS places (
    name TEXT PRIMARY KEY,
    position BIGINT NOT NULL
)

-- name: place
SELECT position FROM places WHERE name = ?

-- name: keep-place
-- Never back: a relay that has lost its lead without knowing may come late.
INSERT INTO places (name, position) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE excluded.position > places.position

-- name: begin-place
INSERT INTO places (name, position) VALUES (?, ?) ON CONFLICT (name) DO NOTHING

-- name: create-tokens
CREATE TABLE IF NOT EXISTS tokens (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    issued_at TEXT NOT NULL,
    expires_at TEXT
)

-- name: issue
INSERT INTO tokens (name, digest, role, issued_at, expires_at) VALUES (?, ?, ?, ?, ?)

-- name: revoke
DELETE FROM tokens WHERE name = ?

-- name: token-by-digest
SELECT name, role, issued_at, expires_at FROM tokens WHERE digest = ?

-- name: tokens
SELECT name, role, issued_at, expires_at FROM tokens ORDER BY name

-- name: create-progress
-- What each node said last about the files that it reads; `readings` is JSON.
CREATE TABLE IF NOT EXISTS progress (
    hostname TEXT PRIMARY KEY,
    said_at TEXT NOT NULL,
    readings TEXT NOT NULL
)

-- name: put-progress
INSERT INTO progress (hostname, said_at, readings) VALUES (?, ?, ?)
ON CONFLICT (hostname) DO UPDATE SET said_at = excluded.said_at, readings = excluded.readings

-- name: forget-progress
DELETE FROM progress WHERE hostname = ?

-- name: progress
SELECT said_at, readings FROM progress WHERE hostname = ?

-- name: create-turns
-- The last turn that was heard under each key.
CREATE TABLE IF NOT EXISTS turns (
    keyid TEXT PRIMARY KEY,
    boot BIGINT NOT NULL,
    seq BIGINT NOT NULL
)

-- name: turns
-- A JSON array of keyids.
SELECT keyid, boot, seq FROM turns WHERE keyid IN (SELECT value FROM json_each(?))

-- name: keep-turns
-- A JSON object: keyid → [boot, seq]. Never back.
INSERT INTO turns (keyid, boot, seq)
SELECT key, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?) WHERE TRUE
ON CONFLICT (keyid) DO UPDATE SET boot = excluded.boot, seq = excluded.seq
WHERE (excluded.boot, excluded.seq) > (turns.boot, turns.seq)

-- name: create-unproven
-- Messages that nobody answers for, by the broker's user and the reason.
CREATE TABLE IF NOT EXISTS unproven (
    sender TEXT NOT NULL,
    reason TEXT NOT NULL,
    messages BIGINT NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    PRIMARY KEY (sender, reason)
)

-- name: count-unproven
-- The moment, and a JSON array of [sender, reason, messages].
WITH now (moment) AS (VALUES (?))
INSERT INTO unproven (sender, reason, messages, first_at, last_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), moment, moment
FROM json_each(?), now WHERE TRUE
ON CONFLICT (sender, reason) DO UPDATE SET
    messages = unproven.messages + excluded.messages, last_at = excluded.last_at

-- name: forget-unproven
-- All but so many that were counted last.
DELETE FROM unproven WHERE (sender, reason) NOT IN (
    SELECT sender, reason FROM unproven ORDER BY last_at DESC, sender, reason LIMIT ?
)

-- name: unproven
SELECT sender, reason, messages, first_at, last_at FROM unproven ORDER BY last_at DESC, sender, reason

-- name: create-relays_set_aside
CREATE TABLE IF NOT EXISTS relays_set_aside (
    position BIGINT NOT NULL,
    part TEXT NOT NULL,
    topic TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (position, part)
)

-- name: put-set-aside
INSERT INTO relays_set_aside (position, part, topic, reason, detail, at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (position, part) DO UPDATE
SET topic = excluded.topic, reason = excluded.reason, detail = excluded.detail

-- name: set-aside
SELECT position, part, topic, reason, detail, at FROM relays_set_aside ORDER BY position, part

-- name: trim-set-aside
-- All of a part but so many that were set aside last.
DELETE FROM relays_set_aside WHERE part = ? AND position NOT IN (
    SELECT position FROM relays_set_aside WHERE part = ? ORDER BY at DESC, position DESC LIMIT ?
)

-- name: forget-set-aside
DELETE FROM relays_set_aside WHERE position = ? AND part = ?

-- name: create-untold
-- Nodes that could not be told something, and the position of the last event that they missed.
CREATE TABLE IF NOT EXISTS untold (
    hostname TEXT PRIMARY KEY,
    position BIGINT NOT NULL
)

-- name: note-untold
-- A JSON object: hostname → position.
INSERT INTO untold (hostname, position) SELECT key, value FROM json_each(?) WHERE TRUE
ON CONFLICT (hostname) DO UPDATE SET position = excluded.position WHERE excluded.position > untold.position

-- name: untold
SELECT hostname, position FROM untold ORDER BY hostname

-- name: forget-untold
DELETE FROM untold WHERE hostname = ? AND position <= ?

-- name: create-checkpoints
-- Each checkpoint names the size of the checkpoint that it follows, and no two follow the same.
CREATE TABLE IF NOT EXISTS checkpoints (
    size BIGINT PRIMARY KEY,
    previous BIGINT NOT NULL UNIQUE,
    root TEXT NOT NULL,
    note TEXT NOT NULL,
    vkey TEXT NOT NULL,
    signed_at TEXT NOT NULL
)

-- name: last-checkpoint
SELECT size, root, note, vkey, signed_at FROM checkpoints ORDER BY size DESC LIMIT 1

-- name: follow-checkpoint
INSERT INTO checkpoints (size, previous, root, note, vkey, signed_at) VALUES (?, ?, ?, ?, ?, ?)

-- name: thin-checkpoints
DELETE FROM checkpoints WHERE signed_at < ? AND size NOT IN (
    SELECT max(size) FROM checkpoints GROUP BY substr(signed_at, 1, 13)
)

-- name: create-webhooks
CREATE TABLE IF NOT EXISTS webhooks (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    format TEXT NOT NULL,
    topics TEXT NOT NULL,
    server_id TEXT,
    node_id BIGINT,
    created_by TEXT NOT NULL,
    created_at TEXT NOT NULL,
    position BIGINT NOT NULL,
    failures BIGINT NOT NULL DEFAULT 0,
    failing_since TEXT,
    next_at TEXT,
    disabled TEXT,
    secret TEXT NOT NULL,
    earlier_secret TEXT,
    earlier_until TEXT
)

-- name: create-deliveries
CREATE TABLE IF NOT EXISTS deliveries (
    webhook_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    at TEXT NOT NULL,
    status BIGINT,
    error TEXT,
    milliseconds BIGINT NOT NULL,
    PRIMARY KEY (webhook_id, at, position, attempt)
)

-- name: webhooks
SELECT id, url, format, topics, server_id, node_id, created_by, created_at, position, failures, failing_since,
    next_at, disabled, secret, earlier_secret, earlier_until
FROM webhooks ORDER BY created_at, id

-- name: webhook
SELECT id, url, format, topics, server_id, node_id, created_by, created_at, position, failures, failing_since,
    next_at, disabled, secret, earlier_secret, earlier_until
FROM webhooks WHERE id = ?

-- name: add-webhook
INSERT INTO webhooks (id, url, format, topics, server_id, node_id, created_by, created_at, position, secret)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: remove-webhook
DELETE FROM webhooks WHERE id = ?

-- name: forget-deliveries
DELETE FROM deliveries WHERE webhook_id = ?

-- name: rotate-webhook
UPDATE webhooks SET earlier_secret = secret, earlier_until = ?, secret = ? WHERE id = ?

-- name: resume-webhook
UPDATE webhooks SET position = ?, failures = 0, failing_since = NULL, next_at = NULL, disabled = NULL
WHERE id = ?

-- name: advance-webhook
-- Nothing is changed where the position is another meanwhile: an administrator has set it.
UPDATE webhooks SET position = ?, failures = 0, failing_since = NULL, next_at = NULL WHERE id = ? AND position = ?

-- name: fail-webhook
UPDATE webhooks SET failures = failures + 1, failing_since = ?, next_at = ?, disabled = ?
WHERE id = ? AND position = ?

-- name: log-delivery
INSERT INTO deliveries (webhook_id, position, event_id, attempt, at, status, error, milliseconds)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: trim-deliveries
-- All of a webhook but so many of the last.
DELETE FROM deliveries WHERE webhook_id = ? AND at < (
    SELECT min(at) FROM (SELECT at FROM deliveries WHERE webhook_id = ? ORDER BY at DESC LIMIT ?) AS kept
)

-- name: deliveries
SELECT position, event_id, attempt, at, status, error, milliseconds
FROM deliveries WHERE webhook_id = ? ORDER BY at DESC, attempt DESC LIMIT ?
