"""Saved funnels: their definition and its versions, as an aggregate of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from domain.core.naming import decode_json
from domain.definitions.definition import Definition, DefinitionVersion, References
from domain.events.events import DefinitionEvent, FunnelArchived, FunnelDefined
from domain.funnels.funnel import Funnel, parse_funnel


@dataclass(frozen=True)
class SavedFunnel(Definition):
    """The current state of one saved funnel, folded from its events.

    The document of its definition is the funnel.
    """

    KIND: ClassVar[str] = "funnel"
    KEY: ClassVar[str] = "funnel"
    EXAMPLE_ID: ClassVar[str] = "checkout"
    DEFINED: ClassVar[type[FunnelDefined]] = FunnelDefined
    DOCUMENT: ClassVar[str] = "document"
    ARCHIVED: ClassVar[type[DefinitionEvent]] = FunnelArchived

    @property
    def funnel(self) -> Funnel:
        """The parsed funnel.  Raises NotFound if it does not exist."""
        self.require_exists()
        assert self.definition is not None
        return _parse(self.definition)

    def check(self, definition: DefinitionVersion, references: References) -> None:
        """Raises InvalidRequest for an invalid funnel."""
        super().check(definition, references)
        _parse(definition)


def _parse(definition: DefinitionVersion) -> Funnel:
    return parse_funnel(decode_json("funnel", definition.document))
