"""The page about events: what the ledger holds, and the standard events that follow from it."""

from __future__ import annotations

import msgspec

from docs.reference_pages import markdown, structs
from docs.reference_pages.json_schema import type_text
from docs.reference_pages.markdown import code, slug, table
from domain.events.registry import EVENT_CLASSES
from domain.profiles.view import CONTACT_TRAITS
from projections.timeline.derived_events.rules import STANDARD_TRAITS

_INTRODUCTION = """\
# Events

A *message* is what a client sends; an *event* is what the ledger holds. Each class of events has a topic, which stored events keep for
ever; a field that is added later has a default. [The glossary](../glossary.md) has the terms.

Two kinds of events have names that conditions, rules and queries take: those that clients send (`Order Completed`; a page call is named
`page_view`, a screen call `screen_view`), and those that follow from them, listed under *derived events*.
"""

_DERIVED = """\
## Derived events

They follow from one stream's messages and are rows of the timeline, right after their cause, with ids that do not change. A message that
arrives late may add, change or withdraw them. `derived=true` lists them alone, `derived=false` leaves them out.
"""


def page() -> str:
    """Return the page."""
    schemas = msgspec.json.schema_components(EVENT_CLASSES)[1]
    return markdown.page(
        _INTRODUCTION,
        _DERIVED,
        table(("event", "follows from", "properties"), _derived()),
        "## Events of the ledger",
        table(
            ("topic", "event", "meaning"),
            (
                (
                    code(kind.TOPIC),
                    f"[{kind.__name__}](#{slug(kind.__name__)})",
                    markdown.summary(kind),
                )
                for kind in EVENT_CLASSES
            ),
        ),
        *(
            structs.section(
                kind.__name__,
                schemas[kind.__name__],
                lambda name: type_text(schemas[name], code),
                heading=f"### {kind.__name__}",
            )
            for kind in EVENT_CLASSES
        ),
    )


def _derived() -> list[tuple[str, str, str]]:
    sides = "`attribute`, `before`, `after`"
    contacts = [*CONTACT_TRAITS.items(), ("push", ("device tokens",))]
    return [
        (code("person_created"), "the first message of a stream", ""),
        (code("person_merged"), "an alias, or a merge", "`absorbed`, `policy`, `reason`"),
        (code("person_unmerged"), "an unmerge", "`apart_from`, `reason`"),
        *(
            (
                ", ".join(code(f"{kind}_{how}") for how in ("added", "changed", "deleted")),
                f"a change of {' or '.join(map(code, traits))}",
                sides,
            )
            for kind, traits in contacts
        ),
        ("`tag_added`, `tag_removed`", "a change of the tags", sides),
        *(
            (code(name), f"a change of {', '.join(map(code, sorted(traits)))}", sides)
            for name, traits in STANDARD_TRAITS.items()
        ),
        ("`attribute_changed`", "a change of any other attribute", sides),
    ]
