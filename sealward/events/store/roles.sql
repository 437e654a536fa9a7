-- What each process may do in PostgreSQL. Run by the owner, at the end of every migration: it is the same twice.

-- name: known
SELECT rolname AS role FROM pg_roles WHERE rolname IN ('sealward_api', 'sealward_worker') ORDER BY rolname

-- name: is-bounded
-- Whether roles.sql has been run in this database since it sets bounds: see deploy/postgres/roles.sql.
SELECT NOT has_function_privilege('public', 'pg_advisory_lock(bigint)', 'EXECUTE')
    AND pg_has_role(CURRENT_USER, 'sealward_api', 'MEMBER') AS bounded

-- name: forget-topics
DELETE FROM may_append

-- name: forget-kinds
DELETE FROM kinds

-- name: keep-kinds
-- A JSON array of [topic, kind of stream, whether a stream may begin with it].
INSERT INTO kinds (topic, kind, opens)
SELECT one ->> 0, one ->> 1, (one ->> 2)::boolean FROM json_array_elements(%(kinds)s::json) AS given (one)

-- name: allow-topics
-- The topics of a role are a text array.
INSERT INTO may_append (role, topic) SELECT %(role)s, unnest(%(topics)s::text[])

-- name: grant-sealward_api
-- This role reads, takes ids and appends the events of its commands. It keeps no snapshot: a worker would believe that snapshot.
GRANT USAGE ON SCHEMA public, main TO sealward_api;
REVOKE ALL ON ALL TABLES IN SCHEMA public, main FROM sealward_api;
GRANT SELECT ON ALL TABLES IN SCHEMA public, main TO sealward_api;
GRANT INSERT, UPDATE, DELETE ON webhooks TO sealward_api;
GRANT DELETE ON deliveries TO sealward_api;
GRANT EXECUTE ON FUNCTION append_events(UUID[], BIGINT[], TEXT[], BYTEA[]), take_id(TEXT) TO sealward_api

-- name: grant-sealward_worker
-- This role keeps rows, snapshots, leases and the other tables of workers. It knows no token, and makes no table.
GRANT USAGE ON SCHEMA public, main TO sealward_worker;
REVOKE ALL ON ALL TABLES IN SCHEMA public, main FROM sealward_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, main TO sealward_worker;
REVOKE ALL ON tokens FROM sealward_worker;
REVOKE INSERT, UPDATE, DELETE ON events, migrations, may_append, kinds, log_holder, barred, turns FROM sealward_worker;
REVOKE UPDATE, DELETE ON checkpoints FROM sealward_worker;
GRANT EXECUTE ON FUNCTION append_events(UUID[], BIGINT[], TEXT[], BYTEA[]), take_id(TEXT) TO sealward_worker;
GRANT EXECUTE ON FUNCTION keep_turns(JSON), end_hindrances(), thin_checkpoints(TEXT) TO sealward_worker
