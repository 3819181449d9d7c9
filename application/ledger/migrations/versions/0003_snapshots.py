"""Snapshots of stream states, so that the time to load one does not grow with its history.

They can be computed again at any time.  They hold personal data of their stream's events, so erasing a
profile deletes them.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = """
CREATE TABLE ledger.snapshot (
    workspace integer NOT NULL,
    stream    uuid NOT NULL,
    format    integer NOT NULL,
    version   bigint NOT NULL,
    state     bytea NOT NULL,
    PRIMARY KEY (workspace, stream, format, version)
);

-- One row a workspace and format: up to where snapshots have been taken.
CREATE TABLE ledger.snapshot_progress (
    workspace integer NOT NULL,
    format    integer NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (workspace, format)
);

CREATE INDEX snapshot_due ON ledger.event (workspace, position)
WHERE originator_version % 100 = 0 AND topic <> 'system.occurred.v1';
"""

ROLES = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'foldline_service') THEN
        GRANT SELECT, INSERT, DELETE ON ledger.snapshot TO foldline_service;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.snapshot_progress TO foldline_service;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'foldline_eraser') THEN
        GRANT SELECT, DELETE ON ledger.snapshot TO foldline_eraser;
    END IF;
END $$;
"""


def upgrade() -> None:
    for script in (TABLES, ROLES):
        op.execute(script)
