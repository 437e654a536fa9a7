-- name: touch
INSERT INTO leases (hostname, seen_at) SELECT key, value FROM json_each_text(%s::json)
ON CONFLICT (hostname) DO UPDATE SET seen_at = excluded.seen_at

-- name: along
-- What the first statement finds, or NULLs, and behind it what the second finds as JSON: one round trip.
SELECT asked.*, along.found
FROM (SELECT) AS always
LEFT JOIN ({asked}) AS asked ON TRUE
LEFT JOIN (SELECT to_json(one)::text AS found FROM ({along}) AS one) AS along ON TRUE
