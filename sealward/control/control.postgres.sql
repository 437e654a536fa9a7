-- name: touch
INSERT INTO leases (hostname, seen_at) SELECT key, value FROM json_each_text(%s::json)
ON CONFLICT (hostname) DO UPDATE SET seen_at = excluded.seen_at

-- name: turns
SELECT keyid, boot, seq FROM turns WHERE keyid IN (SELECT json_array_elements_text(%s::json))

-- name: keep-turns
-- The function keeps them from going back: workers may not write the table.
SELECT keep_turns(%s::json)

-- name: count-unproven
WITH now (moment) AS (VALUES (%s::text))
INSERT INTO unproven (sender, reason, messages, first_at, last_at)
SELECT one ->> 0, one ->> 1, (one ->> 2)::bigint, moment, moment
FROM json_array_elements(%s::json) AS given (one), now
ON CONFLICT (sender, reason) DO UPDATE SET
    messages = unproven.messages + excluded.messages, last_at = excluded.last_at

-- name: prefetch
-- What the first statement finds, or NULLs, and behind it what the second finds as JSON: one round trip.
SELECT asked.*, prefetch.found
FROM (SELECT) AS always
LEFT JOIN ({asked}) AS asked ON TRUE
LEFT JOIN (SELECT to_json(one)::text AS found FROM ({prefetch}) AS one) AS prefetch ON TRUE

-- name: note-untold
INSERT INTO untold (hostname, position) SELECT key, value::bigint FROM json_each_text(%s::json)
ON CONFLICT (hostname) DO UPDATE SET position = excluded.position WHERE excluded.position > untold.position

-- name: end-hindrances
SELECT login, pid, hindrance FROM end_hindrances()

-- name: thin-checkpoints
-- Workers have no right to change or delete a checkpoint: the function deletes only checkpoints that are older than a day.
SELECT thin_checkpoints(%s)
