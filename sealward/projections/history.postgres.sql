-- name: add-batch
INSERT INTO history SELECT * FROM json_populate_recordset(NULL::history, CAST(:batch AS JSON))
ON CONFLICT (position) DO NOTHING
