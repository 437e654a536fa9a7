#!/bin/sh
# Run by the image of PostgreSQL at its first start: /docker-entrypoint-initdb.d.
set -eu
SEALWARD_PASSWORDS=/run/secrets exec psql -v ON_ERROR_STOP=1 --no-password --username "$POSTGRES_USER" \
    --dbname postgres --file /opt/sealward/roles.sql
