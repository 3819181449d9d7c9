"""The page about settings: environment name, flag, default and meaning of each."""

from __future__ import annotations

from docs.reference_pages import markdown
from docs.reference_pages.markdown import code, table
from interfaces.settings import SETTINGS

_INTRODUCTION = """\
# Settings

Every setting has an environment variable and a flag. A flag wins over the environment, and the environment over the default; an empty
variable counts as not set. The [command line](cli.md) says which command takes which flag; a setting without a flag of the command is read
from the environment all the same. A value that cannot be used stops the start, with a message that names the setting. A variable that
begins with `FOLDLINE_` and is no setting is warned about.
"""


def page() -> str:
    """Return the page."""
    return markdown.page(
        _INTRODUCTION,
        table(
            ("environment", "flag", "default", "meaning"),
            ((code(it.env), code(it.flag), code(it.default), it.help) for it in SETTINGS),
        ),
    )
