"""Options that every figure takes: size, file, window, and colours. The decorator of figures reads them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from adverscarial import _store
from adverscarial.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

_DPI = 300  # of saved pictures


class Options(TypedDict, total=False):
    """Options of every figure; the documentation of each figure lists them."""

    figsize: tuple[float, float] | None
    save: str | PathLike[str] | None
    show: bool
    palette: str | Sequence[str] | Mapping[str, str] | None
    cmap: str | Colormap | None


#: what a docstring of a figure says of them
TEXT = """figsize
    Width and height of the new figure, in inches.
save
    File to write the figure to; its ending says the format: .png, .pdf, .svg.
show
    Open a window with the figure, or show it below the cell of a notebook.
palette
    Colours of what is told apart by colour: a list, the name of a map of matplotlib, or colours by name.
cmap
    Map of colours for numbers. A figure refuses an option that it has no use for.
"""
DEFAULTS: Options = {"figsize": None, "save": None, "show": False, "palette": None, "cmap": None}
_FOR = {
    "figsize": "it is the size of a new figure; leave it out where you say where to draw.",
    "palette": "this figure tells nothing apart by colour.",
    "cmap": "this figure shows no numbers by colour.",
}

_now: ContextVar[dict[str, object] | None] = ContextVar("options", default=None)
_used: ContextVar[set[str] | None] = ContextVar("used", default=None)


def parameters() -> list[inspect.Parameter]:
    """Return the options as parameters of a signature."""
    hints = Options.__annotations__
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
        for name, default in DEFAULTS.items()
    ]


def with_text(doc: str | None) -> str | None:
    """Return a docstring with the options described behind the other parameters."""
    if not doc or "\n    Returns\n    -------" not in doc:
        return doc
    indented = "".join(f"    {line}\n" for line in TEXT.splitlines())
    return doc.replace("\n    Returns\n    -------", f"{indented}\n    Returns\n    -------", 1)


@contextmanager
def in_use(name: str, given: Options) -> Iterator[None]:
    """Let the functions below see the options of one figure.

    Raises
    ------
    ParameterError
        If an option was given that the figure has no use for.
    """
    chosen = {key: value for key, value in given.items() if value is not None}
    if not chosen and _now.get() is not None:
        yield  # a figure inside another one has its options
        return
    tokens = _now.set(chosen), _used.set(set())
    try:
        yield
        used = _used.get() or set()
        for key in _FOR:
            if key in chosen and key not in used:
                raise ParameterError(f"pl.{name} cannot use {key}=: {_FOR[key]}")
    finally:
        _now.reset(tokens[0])
        _used.reset(tokens[1])


def _take(name: str) -> object:
    if (used := _used.get()) is not None:
        used.add(name)
    return (_now.get() or {}).get(name)


def size(width: float, height: float) -> tuple[float, float]:
    """Return the size of a new figure in inches: as asked for, else what is given."""
    chosen = _take("figsize")
    if chosen is None:
        return width, height
    if not isinstance(chosen, Sequence) or len(chosen) != 2 or not all(side > 0 for side in chosen):
        raise ParameterError(f"figsize must be a width and a height in inches, both positive, got {chosen!r}.")
    return float(chosen[0]), float(chosen[1])


def colour_map(usual: str) -> str | Colormap:
    """Return the map for numbers: as asked for, else the usual one."""
    chosen = _take("cmap")
    if chosen is None:
        return usual
    if isinstance(chosen, str):
        _known_map(chosen)
    return chosen  # type: ignore[return-value]  # a map, or its name


def _known_map(name: str) -> Colormap:
    from matplotlib import colormaps

    if name not in colormaps:
        raise ParameterError(f"matplotlib has no map of colours '{name}'.{did_you_mean(name, list(colormaps))}")
    return colormaps[name]


def colours(usual: Sequence[str], names: Sequence[str] = ()) -> tuple[str, ...]:
    """Return colours for what is told apart: as asked for, else the usual ones.

    Parameters
    ----------
    usual
        Colours of this figure.
    names
        What is told apart, in its order, where it has names; one colour is returned for each that has none of its own.
    """
    from matplotlib.colors import is_color_like, to_hex

    chosen = _take("palette")
    if chosen is None:
        return tuple(usual)
    if isinstance(chosen, str):
        found = _known_map(chosen)
        listed = getattr(found, "colors", None)
        n = max(len(names), len(usual))
        return tuple(to_hex(one) for one in listed) if listed is not None and len(listed) < 64 else tuple(
            to_hex(found(k / max(n - 1, 1))) for k in range(n)
        )  # fmt: skip
    if isinstance(chosen, Mapping):
        wrong = [one for one in chosen.values() if not is_color_like(one)]
        own = [chosen.get(name, usual[k % len(usual)]) for k, name in enumerate(names)] or list(chosen.values())
    elif isinstance(chosen, Sequence):
        own = list(chosen)
        wrong = [one for one in own if not is_color_like(one)]
    else:
        own, wrong = [], [chosen]
    if wrong or not own:
        raise ParameterError(
            f"palette must hold colours, as matplotlib names them; got {wrong[0] if wrong else chosen!r}."
        )
    return tuple(to_hex(one) for one in own)


def finish(drawn: Axes | tuple[Axes, ...], given: Options) -> None:
    """Save and show a figure, where that was asked for.

    Raises
    ------
    ParameterError
        If the ending of the file is no format that matplotlib writes.
    StorageError
        If the file cannot be written.
    """
    path, show = given.get("save"), given.get("show", False)
    if path is None and not show:
        return
    import matplotlib.pyplot as plt

    figure = (drawn[0] if isinstance(drawn, tuple) else drawn).figure.get_figure(root=True)
    assert figure is not None
    if path is not None:
        ending = Path(path).suffix[1:]
        known = figure.canvas.get_supported_filetypes()
        if ending not in known:
            raise ParameterError(f"save= ends in '.{ending}'; figures are written as {', '.join(sorted(known))}.")
        _store.write_atomically(path, lambda file: figure.savefig(file, format=ending, dpi=_DPI, bbox_inches="tight"))
    if show:
        plt.show()
