"""Figures. Each returns the Axes it drew on; all take ``figsize, save, show, palette, cmap``."""

from typing import TYPE_CHECKING

from adverscarial.pl._figures import FIGURES as _FIGURES
from adverscarial.pl._figures import figure as figure
from adverscarial.pl._figures import figures as figures
from adverscarial.pl.critical import critical as critical
from adverscarial.pl.curve import curve as curve
from adverscarial.pl.differential import differential as differential
from adverscarial.pl.discovery import discovery as discovery
from adverscarial.pl.f1 import f1 as f1
from adverscarial.pl.flippable import flippable as flippable
from adverscarial.pl.fragility import fragility as fragility
from adverscarial.pl.fragility import fragility_umap as fragility_umap
from adverscarial.pl.genes_needed import genes_needed as genes_needed
from adverscarial.pl.harm import harm as harm
from adverscarial.pl.heatmap import heatmap as heatmap
from adverscarial.pl.impact import impact as impact
from adverscarial.pl.nearest import nearest as nearest
from adverscarial.pl.ratio import ratio as ratio
from adverscarial.pl.roc import roc as roc
from adverscarial.pl.stress import stress as stress
from adverscarial.pl.sweep import sweep as sweep
from adverscarial.pl.trajectory import trajectory as trajectory
from adverscarial.pl.transfer import transfer as transfer
from adverscarial.pl.umap import umap as umap
from adverscarial.pl.vulnerability import vulnerability as vulnerability

__all__ = ["figure", "figures", *_FIGURES.known()]


if not TYPE_CHECKING:  # a type checker sees the names above, and no others

    def __getattr__(name: str) -> object:
        """Return a figure that another package registered under this name."""
        if name.startswith("_") or (found := _FIGURES.find(name)) is None:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        return found.draw


def __dir__() -> list[str]:
    """List the figures, and what registers them."""
    return sorted({*figures(), *__all__})
