-- name: put-batch
INSERT INTO envelopes SELECT * FROM json_populate_recordset(NULL::envelopes, CAST(:batch AS JSON))
ON CONFLICT (server_id) DO UPDATE SET envelope = excluded.envelope

-- name: forget-batch
DELETE FROM envelopes
WHERE server_id IN (SELECT server_id FROM json_populate_recordset(NULL::envelopes, CAST(:batch AS JSON)))
