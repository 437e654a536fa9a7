-- name: migration-1
-- The log. Positions are given out under a lock that is held until the commit, so that the order of positions is
-- the order of commits and a reader who has seen position n has seen all before it.
CREATE TABLE events (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream UUID NOT NULL,
    version BIGINT NOT NULL,
    topic TEXT NOT NULL,
    state BYTEA NOT NULL,
    UNIQUE (stream, version)
);

CREATE TABLE snapshots (
    stream UUID NOT NULL,
    version BIGINT NOT NULL,
    topic TEXT NOT NULL,
    state BYTEA NOT NULL,
    PRIMARY KEY (stream, version)
);

CREATE TABLE sequences (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE places (
    name TEXT PRIMARY KEY,
    position BIGINT NOT NULL
);

CREATE TABLE leases (
    hostname TEXT PRIMARY KEY,
    seen_at TEXT NOT NULL
);

CREATE TABLE tokens (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    issued_at TEXT NOT NULL,
    expires_at TEXT
);

CREATE FUNCTION append_events(streams UUID[], versions BIGINT[], topics TEXT[], states BYTEA[])
RETURNS SETOF BIGINT LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE events IN EXCLUSIVE MODE;
    NOTIFY sealward_log;
    RETURN QUERY
        INSERT INTO events (stream, version, topic, state)
        SELECT one.stream, one.version, one.topic, one.state
        FROM unnest(streams, versions, topics, states)
            WITH ORDINALITY AS one (stream, version, topic, state, number)
        ORDER BY one.number
        RETURNING position;
END
$$;

-- name: migration-2
-- What each node said last about the files that it reads; `readings` is JSON.
CREATE TABLE progress (
    hostname TEXT PRIMARY KEY,
    said_at TEXT NOT NULL,
    readings TEXT NOT NULL
)

-- name: migration-3
-- The last turn that was heard under each key; and messages that nobody answers for, by user and reason.
CREATE TABLE turns (
    keyid TEXT PRIMARY KEY,
    boot BIGINT NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE unproven (
    sender TEXT NOT NULL,
    reason TEXT NOT NULL,
    messages BIGINT NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    PRIMARY KEY (sender, reason)
)

-- name: migration-4
-- Who may append what: `may_append` has the topics of each role that is neither the owner of the log nor its member.
-- Whoever appends, or takes an id, calls a function that runs as the owner; the tables themselves are closed to others.
CREATE TABLE may_append (
    role TEXT NOT NULL,
    topic TEXT NOT NULL,
    PRIMARY KEY (role, topic)
);

CREATE OR REPLACE FUNCTION append_events(streams UUID[], versions BIGINT[], topics TEXT[], states BYTEA[])
RETURNS SETOF BIGINT LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    refused TEXT;
BEGIN
    IF NOT pg_has_role(session_user, current_user, 'USAGE') THEN
        SELECT asked.topic INTO refused FROM unnest(topics) AS asked (topic)
        WHERE NOT EXISTS (
            SELECT FROM may_append
            WHERE may_append.topic = asked.topic AND pg_has_role(session_user, may_append.role, 'USAGE')
        ) LIMIT 1;
        IF FOUND THEN
            RAISE insufficient_privilege USING MESSAGE = format('%s may not append %s', session_user, refused);
        END IF;
    END IF;
    LOCK TABLE events IN EXCLUSIVE MODE;
    NOTIFY sealward_log;
    RETURN QUERY
        INSERT INTO events (stream, version, topic, state)
        SELECT one.stream, one.version, one.topic, one.state
        FROM unnest(streams, versions, topics, states)
            WITH ORDINALITY AS one (stream, version, topic, state, number)
        ORDER BY one.number
        RETURNING position;
END
$$;

CREATE FUNCTION take_id(wanted TEXT)
RETURNS BIGINT LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO sequences (name, value) VALUES (wanted, 1)
    ON CONFLICT (name) DO UPDATE SET value = sequences.value + 1
    RETURNING value
$$;

REVOKE ALL ON FUNCTION append_events(UUID[], BIGINT[], TEXT[], BYTEA[]), take_id(TEXT) FROM PUBLIC;

-- Not even the owner changes an event by mistake: whoever has to, says so first (ALTER TABLE … DISABLE TRIGGER).
CREATE FUNCTION refuse_change()
RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = format('%s on %s: an event is never changed', TG_OP, TG_TABLE_NAME);
END
$$;

CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- name: migration-5
-- Events that the relays could not take.
CREATE TABLE relays_set_aside (
    position BIGINT NOT NULL,
    part TEXT NOT NULL,
    topic TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (position, part)
)

-- name: migration-6
-- Nodes that could not be told something, and the position of the last event that they missed.
CREATE TABLE untold (
    hostname TEXT PRIMARY KEY,
    position BIGINT NOT NULL
)

-- name: create-migrations
CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER PRIMARY KEY,
    done_at TIMESTAMPTZ NOT NULL DEFAULT now()
)

-- name: done
SELECT coalesce(max(number), 0) AS number FROM migrations

-- name: migrations-known
SELECT to_regclass('migrations') IS NOT NULL AS known

-- name: record
INSERT INTO migrations (number) VALUES (%(number)s)

-- name: lock-migrations
SELECT pg_advisory_xact_lock(7265461)

-- name: append
-- In binary: as text the arrays cost psycopg (3.3.9) 18 µs an event, so 1.3 µs.
SELECT append_events(%b, %b, %b, %b) AS position

-- name: stream
SELECT stream, version, topic, state FROM events
WHERE stream = %(stream)s AND version > %(gt)s
ORDER BY version

-- name: load-one
WITH kept AS (
    SELECT version, topic, state FROM snapshots
    WHERE stream = %(stream)s AND topic = %(topic)s AND version > %(after)s
    ORDER BY version DESC
    LIMIT 1
)
SELECT %(stream)s::uuid AS stream, version, topic, state, TRUE AS is_snapshot FROM kept
UNION ALL (
    SELECT stream, version, topic, state, FALSE FROM events
    WHERE stream = %(stream)s AND version > coalesce((SELECT version FROM kept), %(after)s)
    ORDER BY version
)

-- name: load-many
-- Streams with the topics that their snapshots must have to be of use, and up to where they are known.
WITH wanted AS (
    SELECT one.stream, one.known, kept.version, kept.topic, kept.state
    FROM unnest(%b::uuid[], %b::text[], %b::bigint[]) AS one (stream, topic, known)
    LEFT JOIN LATERAL (
        SELECT version, topic, state FROM snapshots
        WHERE snapshots.stream = one.stream AND snapshots.topic = one.topic AND snapshots.version > one.known
        ORDER BY version DESC
        LIMIT 1
    ) AS kept ON TRUE
)
SELECT stream, version, topic, state, TRUE AS is_snapshot FROM wanted WHERE version IS NOT NULL
UNION ALL
SELECT events.stream, events.version, events.topic, events.state, FALSE
FROM wanted
CROSS JOIN LATERAL (
    SELECT * FROM events
    WHERE events.stream = wanted.stream AND events.version > coalesce(wanted.version, wanted.known)
    ORDER BY events.version
) AS events

-- name: follow
SELECT position, stream, version, topic, state FROM events
WHERE position > %(after)s
ORDER BY position
LIMIT %(limit)s

-- name: head
SELECT max(position) AS position FROM events

-- name: snapshot
SELECT stream, version, topic, state FROM snapshots
WHERE stream = %(stream)s
ORDER BY version DESC
LIMIT 1

-- name: keep-snapshots
WITH wanted AS (
    SELECT * FROM unnest(%b::uuid[], %b::bigint[], %b::text[], %b::bytea[]) AS one (stream, version, topic, state)
), older AS (
    DELETE FROM snapshots USING wanted
    WHERE snapshots.stream = wanted.stream AND snapshots.version < wanted.version
)
INSERT INTO snapshots (stream, version, topic, state) SELECT * FROM wanted
ON CONFLICT DO NOTHING

-- name: next-id
SELECT take_id(%(name)s) AS value

-- name: may-keep-snapshots
SELECT has_table_privilege('snapshots', 'INSERT') AS may
