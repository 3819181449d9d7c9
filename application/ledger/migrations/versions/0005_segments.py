"""Segments: indexes of their definition events and of manual list changes.

Neither index grows with the messages of profiles.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

INDEXES = """
CREATE INDEX segment_decided ON ledger.event (workspace, position)
WHERE topic IN ('segment.defined.v1', 'segment.archived.v1');

CREATE INDEX person_listed ON ledger.event (originator_id)
WHERE topic = 'profile.listed.v1';
"""


def upgrade() -> None:
    op.execute(INDEXES)
