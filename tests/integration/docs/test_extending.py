"""Pages on extending: a copy of the code with exactly a page's changes does what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import Page, Serve, checkout


@pytest.mark.parametrize(
    ("name", "compared"),
    [
        ("add-a-condition", 4),
        ("add-a-read-model", 1),
        ("add-a-wire-format", 4),
        ("add-an-action", 4),
        ("add-an-event-type", 2),
    ],
)
def test_a_page_leads_to_what_it_shows(
    serve: Serve, tmp_path: Path, name: str, compared: int
) -> None:
    page = Page(f"howto/{name}.md")
    shell = serve(checkout(tmp_path / "checkout", page))
    for block in page.of("python"):
        if "/" not in block.file:
            (shell.folder / block.file).write_text(block.text)
    assert shell.follow(page) == compared
