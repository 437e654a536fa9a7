-- PostgreSQL's roles and database for Sealward: psql -v ON_ERROR_STOP=1 -f roles.sql, as an administrator of the server,
-- whose rights none of these roles has. Safe to run again, after an upgrade for instance: what is there stays, and the
-- bounds are set anew. The passwords are in the files of the folder SEALWARD_PASSWORDS; they are read when the roles are
-- made. `-v database=NAME` names another database than `sealward`, a restored one for instance.
-- `sealward migrate`, as sealward_owner, makes the schema and says what the two others may do.

\if :{?database}
\else
\set database sealward
\endif
SET log_statement = 'none';

SELECT count(*) = 0 AS is_new FROM pg_roles WHERE rolname = 'sealward_owner' \gset
\if :is_new
\getenv passwords SEALWARD_PASSWORDS
\cd :passwords
\set owner `cat database-owner-password`
\set api `cat database-api-password`
\set worker `cat database-worker-password`
CREATE ROLE sealward_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'owner';
CREATE ROLE sealward_api LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'api';
CREATE ROLE sealward_worker LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'worker';
\endif

SELECT count(*) = 0 AS is_new FROM pg_database WHERE datname = :'database' \gset
\if :is_new
CREATE DATABASE :"database" OWNER sealward_owner TEMPLATE template0 ENCODING 'UTF8';
\endif
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO sealward_api, sealward_worker;

-- So the owner's function can end the sessions of the two that hold up others (`end_hindrances`).
GRANT sealward_api, sealward_worker TO sealward_owner;

-- A role cannot change these for itself. An API process opens up to 60 connections under load, and works with fewer.
-- PostgreSQL takes 100 by default (max_connections): what is left is for the owner and for administrators.
ALTER ROLE sealward_api CONNECTION LIMIT 40;
ALTER ROLE sealward_worker CONNECTION LIMIT 50;
ALTER ROLE sealward_api SET temp_file_limit = '1GB';
-- A role can change these for itself: they are for what goes wrong, not for who means ill.
ALTER ROLE sealward_api SET statement_timeout = '60s';
ALTER ROLE sealward_api SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE sealward_worker SET idle_in_transaction_session_timeout = '60s';

\connect :"database"

-- What PostgreSQL lets everybody call, and with which anybody could keep workers from leading, use up the server's locks,
-- write large objects or the server's journal, and end the sessions of others of the same role.
SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure)
FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace
    AND proname ~ '^(pg_(try_)?advisory_|pg_logical_emit_message$|lo_creat|lo_from_bytea$|pg_(terminate|cancel)_backend$)'
\gexec
SELECT format('GRANT EXECUTE ON FUNCTION %s TO sealward_owner, sealward_worker', oid::regprocedure)
FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^pg_(try_)?advisory_'
\gexec
GRANT EXECUTE ON FUNCTION pg_terminate_backend(INTEGER, BIGINT) TO sealward_owner;
