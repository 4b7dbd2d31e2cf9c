"""Plots. Each returns the Axes it drew on, and leaves showing and saving to you."""

from adverscarial.pl.heatmap import heatmap
from adverscarial.pl.impact import impact
from adverscarial.pl.trajectory import trajectory
from adverscarial.pl.umap import umap
from adverscarial.pl.vulnerability import vulnerability

__all__ = ["heatmap", "impact", "trajectory", "umap", "vulnerability"]
