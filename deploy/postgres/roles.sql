-- PostgreSQL's roles and database for Sealward, once: psql -v ON_ERROR_STOP=1 -f roles.sql, as an administrator of the
-- server, whose rights none of these roles has. The passwords are in the files of the folder SEALWARD_PASSWORDS.
-- `sealward migrate`, as sealward_owner, makes the schema and says what the two others may do.

\getenv passwords SEALWARD_PASSWORDS
\cd :passwords
\set owner `cat database-owner-password`
\set api `cat database-api-password`
\set worker `cat database-worker-password`

SET log_statement = 'none';
CREATE ROLE sealward_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'owner';
CREATE ROLE sealward_api LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'api';
CREATE ROLE sealward_worker LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'worker';

CREATE DATABASE sealward OWNER sealward_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE sealward FROM PUBLIC;
GRANT CONNECT ON DATABASE sealward TO sealward_api, sealward_worker;
