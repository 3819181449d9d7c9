"""Commands about saved funnels."""

from __future__ import annotations

from application.definitions.ledger_definitions import SAVED_FUNNELS, LedgerDefinitionService
from domain.funnels.saved_funnel import SavedFunnel


class SavedFunnelService(LedgerDefinitionService[SavedFunnel]):
    """Creates, defines and archives saved funnels."""

    ledger_kind = SAVED_FUNNELS
