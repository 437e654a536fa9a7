-- name: touch
INSERT INTO leases (hostname, seen_at) SELECT key, value FROM json_each_text(%s::json)
ON CONFLICT (hostname) DO UPDATE SET seen_at = excluded.seen_at
