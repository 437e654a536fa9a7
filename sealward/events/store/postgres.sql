-- name: migration-1
-- The log. Positions are given out under a lock that is held until the commit, so that the order of positions is
-- the order of commits, and a reader that has seen position n has seen all earlier positions.
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
-- To append, or to take an id, a role calls a function that runs as the owner; the tables are closed to other roles.
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

-- Not even the owner changes an event by mistake: the trigger must be disabled first (ALTER TABLE … DISABLE TRIGGER).
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

-- name: migration-7
-- A role appends only what can follow in that stream, and nobody keeps the log locked.
-- `kinds` has every topic: the kind of stream that it belongs to, and whether a stream may begin with it.
CREATE TABLE kinds (
    topic TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    opens BOOLEAN NOT NULL
);

-- The session that held the lock of the log when a worker last looked. It has one row at most.
CREATE TABLE log_holder (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    pid INTEGER NOT NULL,
    began_at TIMESTAMPTZ NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL
);

-- Users of the database that kept the log locked, and until when they append nothing.
CREATE TABLE barred (
    login TEXT PRIMARY KEY,
    until TIMESTAMPTZ NOT NULL
);

-- 16 MiB, as sealward/events/wire/codec.py has it: an event that no process can hold would stop all processes.
ALTER TABLE events ADD CONSTRAINT events_are_bounded
    CHECK (octet_length(state) <= 16777216 AND octet_length(topic) <= 255) NOT VALID;

CREATE FUNCTION refuse_what_is_not_allowed(topics TEXT[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    refused TEXT;
BEGIN
    IF EXISTS (SELECT FROM barred WHERE login = session_user AND until > clock_timestamp()) THEN
        RAISE operator_intervention USING MESSAGE = format('%s kept the log locked and is barred for minutes', session_user);
    END IF;
    SELECT asked.topic INTO refused FROM unnest(topics) AS asked (topic)
    WHERE NOT EXISTS (
        SELECT FROM may_append
        WHERE may_append.topic = asked.topic AND pg_has_role(session_user, may_append.role, 'USAGE')
    ) LIMIT 1;
    IF FOUND THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s may not append %s', session_user, refused);
    END IF;
END
$$;

-- Called when the events are in the table: the event before an event may have been appended with it.
CREATE FUNCTION refuse_what_does_not_follow(streams UUID[], versions BIGINT[], topics TEXT[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wrong RECORD;
BEGIN
    SELECT added.version, added.topic, added.before IS NULL AS is_alone INTO wrong
    FROM (
        SELECT one.version, one.topic, kinds.kind, kinds.opens, (
            SELECT coalesce(earlier.kind, '?') FROM events LEFT JOIN kinds AS earlier ON earlier.topic = events.topic
            WHERE events.stream = one.stream AND events.version = one.version - 1
        ) AS before
        FROM unnest(streams, versions, topics) AS one (stream, version, topic)
        LEFT JOIN kinds ON kinds.topic = one.topic
    ) AS added
    WHERE (CASE added.version WHEN 1 THEN added.opens ELSE added.before = added.kind END) IS NOT TRUE
    LIMIT 1;
    IF wrong.is_alone AND wrong.version > 1 THEN
        RAISE unique_violation USING MESSAGE = format('%s as version %s: the stream is shorter', wrong.topic, wrong.version);
    ELSIF wrong.topic IS NOT NULL THEN
        RAISE insufficient_privilege USING MESSAGE = format(
            '%s may not append %s as version %s of that stream', session_user, wrong.topic, wrong.version
        );
    END IF;
END
$$;

-- Without sequential scans: a plan is kept that was made when the log was short. Without JIT: a plan that scans a small
-- table all the same counts as costly then, and PostgreSQL compiled it at each append (up to 0.4 s).
CREATE OR REPLACE FUNCTION append_events(streams UUID[], versions BIGINT[], topics TEXT[], states BYTEA[])
RETURNS SETOF BIGINT LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '10s' SET enable_seqscan = off SET jit = off AS $$
DECLARE
    is_limited BOOLEAN := NOT pg_has_role(session_user, current_user, 'USAGE');
BEGIN
    IF is_limited THEN
        PERFORM refuse_what_is_not_allowed(topics);
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
    IF is_limited THEN
        PERFORM refuse_what_does_not_follow(streams, versions, topics);
    END IF;
END
$$;

-- Ends sessions that hold up others, and says which. A worker calls it every second, in a transaction of its own.
--
-- It looks at the sessions of users who may not write rows, as sealward_api, and in whose roles the owner is a member.
-- A session that has kept the log locked between two calls, at least three seconds apart, is ended, with all others
-- of its user that wait for the lock; for five minutes the user appends nothing. The first call wrote down who held the
-- lock: because that commit came to an end, it is not the disk that holds up the session. What such a user appends is
-- small; a worker's batch may honestly take its time. A session whose transaction is open for a minute is ended, too.
-- What ends sessions stands outside of the queries that find them: the planner chooses the order of conditions.
CREATE FUNCTION end_hindrances()
RETURNS TABLE (login TEXT, pid INTEGER, hindrance TEXT)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    holder RECORD;
    known RECORD;
    moment TIMESTAMPTZ := clock_timestamp();
BEGIN
    SELECT activity.pid, activity.usename, activity.xact_start INTO holder
    FROM pg_locks AS locks JOIN pg_stat_activity AS activity ON activity.pid = locks.pid
    WHERE locks.relation = 'events'::regclass AND locks.mode = 'ExclusiveLock' AND locks.granted
        AND activity.datname = current_database() AND activity.usename <> current_user
        AND activity.xact_start IS NOT NULL AND pg_has_role(current_user, activity.usesysid, 'USAGE')
        AND NOT has_table_privilege(activity.usesysid, 'snapshots', 'INSERT');
    SELECT * INTO known FROM log_holder;
    IF holder.pid IS NULL THEN
        DELETE FROM log_holder WHERE known.pid IS NOT NULL;
    ELSIF (known.pid, known.began_at) IS DISTINCT FROM (holder.pid, holder.xact_start) THEN
        INSERT INTO log_holder (pid, began_at, seen_at) VALUES (holder.pid, holder.xact_start, moment)
        ON CONFLICT (only_row) DO UPDATE
        SET pid = excluded.pid, began_at = excluded.began_at, seen_at = excluded.seen_at;
    ELSIF moment - known.seen_at >= interval '3 seconds' THEN
        INSERT INTO barred VALUES (holder.usename, moment + interval '5 minutes')
        ON CONFLICT ON CONSTRAINT barred_pkey DO UPDATE SET until = excluded.until;
        RETURN QUERY
            WITH found AS MATERIALIZED (
                SELECT DISTINCT activity.usename, activity.pid
                FROM pg_locks AS locks JOIN pg_stat_activity AS activity ON activity.pid = locks.pid
                WHERE locks.relation = 'events'::regclass AND locks.mode = 'ExclusiveLock'
                    AND activity.datname = current_database() AND activity.usename = holder.usename
            )
            SELECT found.usename::text, found.pid, 'log-locked' FROM found WHERE pg_terminate_backend(found.pid);
    END IF;
    RETURN QUERY
        WITH found AS MATERIALIZED (
            SELECT activity.usename, activity.pid
            FROM pg_stat_activity AS activity
            WHERE activity.datname = current_database() AND activity.usename <> current_user
                AND activity.xact_start < moment - interval '1 minute'
                AND pg_has_role(current_user, activity.usesysid, 'USAGE')
                AND NOT has_table_privilege(activity.usesysid, 'snapshots', 'INSERT')
        )
        SELECT found.usename::text, found.pid, 'transaction-open' FROM found WHERE pg_terminate_backend(found.pid);
END
$$;

-- Ids come from sequences: a transaction that has taken one and stays open keeps nobody from taking the next.
CREATE SEQUENCE id_of_sign;
CREATE SEQUENCE id_of_node;
SELECT setval('id_of_' || name, value) FROM sequences WHERE name IN ('sign', 'node') AND value > 0;
DROP TABLE sequences;

CREATE OR REPLACE FUNCTION take_id(wanted TEXT)
RETURNS BIGINT LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT CASE wanted WHEN 'sign' THEN nextval('id_of_sign') WHEN 'node' THEN nextval('id_of_node') END
$$;

-- The turns of nodes go forwards alone: workers keep them by this function, and have no right to write the table.
CREATE FUNCTION keep_turns(later JSON)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO turns (keyid, boot, seq)
    SELECT key, (value ->> 0)::bigint, (value ->> 1)::bigint FROM json_each(later)
    ON CONFLICT (keyid) DO UPDATE SET boot = excluded.boot, seq = excluded.seq
    WHERE (excluded.boot, excluded.seq) > (turns.boot, turns.seq)
$$;

REVOKE ALL ON FUNCTION refuse_what_is_not_allowed(TEXT[]), refuse_what_does_not_follow(UUID[], BIGINT[], TEXT[]),
    end_hindrances(), keep_turns(JSON) FROM PUBLIC

-- name: migration-8
-- The checkpoints of the log. The notary adds rows and changes none; each row follows exactly one other row.
CREATE TABLE checkpoints (
    size BIGINT PRIMARY KEY,
    previous BIGINT NOT NULL UNIQUE,
    root TEXT NOT NULL,
    note TEXT NOT NULL,
    vkey TEXT NOT NULL,
    signed_at TEXT NOT NULL
);

-- Of checkpoints that are older than a day the last of each hour stays.
CREATE FUNCTION thin_checkpoints(before TEXT)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM checkpoints
    WHERE signed_at < before AND signed_at::timestamptz < now() - interval '1 day' AND size NOT IN (
        SELECT max(size) FROM checkpoints GROUP BY substr(signed_at, 1, 13)
    )
$$;

REVOKE ALL ON FUNCTION thin_checkpoints(TEXT) FROM PUBLIC

-- name: migration-9
-- Webhooks, and the log of their deliveries. An API process makes and changes webhooks.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    format TEXT NOT NULL,
    topics TEXT NOT NULL,
    server_id TEXT,
    node_id BIGINT,
    created_by TEXT NOT NULL,
    created_at TEXT NOT NULL,
    position BIGINT NOT NULL,
    failures BIGINT NOT NULL DEFAULT 0,
    failing_since TEXT,
    next_at TEXT,
    disabled TEXT,
    secret TEXT NOT NULL,
    earlier_secret TEXT,
    earlier_until TEXT
);

CREATE TABLE deliveries (
    webhook_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    at TEXT NOT NULL,
    status BIGINT,
    error TEXT,
    milliseconds BIGINT NOT NULL,
    PRIMARY KEY (webhook_id, at, position, attempt)
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

-- name: position-of
SELECT position FROM events WHERE stream = %(stream)s AND version = %(version)s

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
