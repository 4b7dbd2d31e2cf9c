"""The modifications that a command line names, functions of the user's own among them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from adverscarial.errors import ParameterError
from adverscarial.modifications import Modification, parse
from adverscarial.modifications.custom import imported


def changes(texts: Sequence[str]) -> list[Modification]:
    """Return the modifications that texts of the command line mean.

    ``custom:module:function`` imports the module: from the installed packages, else from the current folder.

    Raises
    ------
    ParameterError
        If a text means nothing.
    """
    found = []
    for text in texts:
        if text.startswith("custom:"):
            if os.getcwd() not in sys.path:
                sys.path.append(os.getcwd())  # behind all others, so that no file here hides a package
            found.append(imported(text))
        else:
            found.append(_parsed(text))
    return found


def _parsed(text: str) -> Modification:
    try:
        return parse(text)
    except ParameterError as error:
        raise ParameterError(f"--modification {text}: {error}") from error
