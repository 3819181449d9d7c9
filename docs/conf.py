"""Sphinx configuration: MyST pages, the Furo theme, a reference generated from the code."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

project = "Foldline"
author = "The Foldline developers"
version = release = metadata.version("foldline")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
exclude_patterns = ["_build", "README.md"]
nitpicky = True

html_theme = "furo"
html_title = "Foldline"
html_static_path = ["_static"]
html_css_files = ["foldline.css"]
html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"


def setup(app: Sphinx) -> None:
    """Write the reference pages before Sphinx looks for its sources."""
    from docs.reference_pages import write_reference

    app.connect("config-inited", lambda *_: write_reference(DOCS / "reference"))
