"""The ledger: workspaces, keys, heads, events, messages and links seen, rejections.

Every unique constraint contains the table's distribution column and no table has a foreign key, so that
the same schema can be distributed over several machines (design, "Scale").
"""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE ledger.workspace (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    secret     bytea NOT NULL CHECK (octet_length(secret) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ledger.api_key (
    id         text PRIMARY KEY,
    workspace  integer NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('write', 'read', 'admin')),
    hash       bytea NOT NULL CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz
);

-- One row a workspace, updated by every flush: small pages full of room keep it HOT.
CREATE TABLE ledger.ledger_head (
    workspace     integer PRIMARY KEY,
    last_position bigint NOT NULL,
    recorded_at   timestamptz NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE ledger.stream_head (
    stream_id uuid PRIMARY KEY,
    version   bigint NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE ledger.event (
    workspace          integer NOT NULL,
    position           bigint NOT NULL,
    originator_id      uuid NOT NULL,
    originator_version bigint NOT NULL,
    recorded_at        timestamptz NOT NULL,
    topic              text NOT NULL,
    salt               bytea CHECK (octet_length(salt) = 32),
    commitment         bytea NOT NULL CHECK (octet_length(commitment) = 32),
    leaf               bytea NOT NULL CHECK (octet_length(leaf) = 32),
    state              bytea,
    CHECK ((salt IS NULL) = (state IS NULL)),
    PRIMARY KEY (workspace, position, originator_id),
    UNIQUE (originator_id, originator_version)
) WITH (
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_freeze_min_age = 0
);

CREATE TABLE ledger.message_seen (
    workspace integer NOT NULL,
    digest    uuid NOT NULL,
    content   bigint NOT NULL,
    PRIMARY KEY (workspace, digest)
) WITH (autovacuum_freeze_min_age = 0);

CREATE TABLE ledger.link_seen (
    workspace   integer NOT NULL,
    digest      uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (workspace, digest)
) WITH (fillfactor = 90);

CREATE TABLE ledger.rejected (
    workspace   integer NOT NULL,
    digest      uuid NOT NULL,
    received_at timestamptz NOT NULL,
    source      text NOT NULL,
    code        text NOT NULL,
    message     text NOT NULL,
    message_id  text,
    raw         bytea NOT NULL,
    times       bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (workspace, digest)
);
CREATE INDEX rejected_newest ON ledger.rejected (workspace, received_at DESC, digest DESC);
"""

GUARDS = """
CREATE FUNCTION ledger.only_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.state IS NULL AND NEW.salt IS NULL
       AND (NEW.workspace, NEW.position, NEW.originator_id, NEW.originator_version,
            NEW.recorded_at, NEW.topic, NEW.commitment, NEW.leaf)
         = (OLD.workspace, OLD.position, OLD.originator_id, OLD.originator_version,
            OLD.recorded_at, OLD.topic, OLD.commitment, OLD.leaf) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only: % of ledger.event is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Record a new event that says what is true now.';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.event
    FOR EACH ROW EXECUTE FUNCTION ledger.only_erasure();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON ledger.event
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.only_erasure();
ALTER TABLE ledger.event ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE ledger.event ENABLE ALWAYS TRIGGER never_truncated;
"""

# Roles belong to the whole server, so another database may have created them already.  If the
# deploying role may not create roles, only the triggers protect the events; `foldline doctor` reports it.
ROLES = """
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['foldline_service', 'foldline_eraser'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'role % was not created: %', wanted, SQLERRM;
                CONTINUE;
        END;
        IF NOT pg_has_role(current_user, wanted, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO %I', wanted, current_user);
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA ledger TO %I', wanted);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO %I', wanted);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'foldline_service') THEN
        GRANT INSERT ON ledger.event, ledger.message_seen TO foldline_service;
        GRANT INSERT, UPDATE ON ledger.ledger_head, ledger.stream_head, ledger.link_seen,
            ledger.rejected, ledger.workspace, ledger.api_key TO foldline_service;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'foldline_eraser') THEN
        GRANT UPDATE (state, salt) ON ledger.event TO foldline_eraser;
    END IF;
END $$;
"""


def upgrade() -> None:
    for script in (TABLES, GUARDS, ROLES):
        op.execute(script)
