"""Identity from the ledger alone: which streams facts relate, and an index of those facts.

`stream_link` holds each pair of streams that a link or merge relates, in both directions, so that all
streams that may belong to one profile are found from any of them.  Its rows are never updated.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE ledger.stream_link (
    workspace integer NOT NULL,
    stream    uuid NOT NULL,
    other     uuid NOT NULL,
    PRIMARY KEY (workspace, stream, other)
);

CREATE INDEX identity_fact ON ledger.event (originator_id)
WHERE topic IN ('profile.identifiers_linked.v1', 'profile.merged.v1', 'profile.unmerged.v1');
"""

ROLES = """
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['foldline_service', 'foldline_eraser'] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('GRANT SELECT ON ledger.stream_link TO %I', wanted);
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'foldline_service') THEN
        GRANT INSERT ON ledger.stream_link TO foldline_service;
    END IF;
END $$;
"""


def upgrade() -> None:
    for script in (TABLES, ROLES):
        op.execute(script)
