"""Plots. Each returns the Axes it drew on, and leaves showing and saving to you."""

from adverscarial.pl.curve import curve
from adverscarial.pl.f1 import f1
from adverscarial.pl.harm import harm
from adverscarial.pl.heatmap import heatmap
from adverscarial.pl.impact import impact
from adverscarial.pl.ratio import ratio
from adverscarial.pl.roc import roc
from adverscarial.pl.sweep import sweep
from adverscarial.pl.trajectory import trajectory
from adverscarial.pl.umap import umap
from adverscarial.pl.vulnerability import vulnerability

__all__ = ["curve", "f1", "harm", "heatmap", "impact", "ratio", "roc", "sweep", "trajectory", "umap", "vulnerability"]
