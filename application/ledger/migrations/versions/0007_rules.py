"""Automation rules: what was decided about them, and up to when their triggers have been fired.

The mark is never set back: a trigger that a rebuild finds before it fires no more, whatever was found
when its time was.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = """
CREATE INDEX rule_decided ON ledger.event (workspace, position)
WHERE topic IN ('rule.defined.v1', 'rule.enabled.v1', 'rule.disabled.v1', 'rule.archived.v1');

CREATE TABLE ledger.fired (
    workspace integer PRIMARY KEY,
    at        bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);
"""

ROLES = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'foldline_service') THEN
        GRANT SELECT, INSERT, UPDATE ON ledger.fired TO foldline_service;
    END IF;
END $$;
"""


def upgrade() -> None:
    for script in (TABLES, ROLES):
        op.execute(script)
