"""Plots. Each returns the Axes it drew on, and leaves showing and saving to you."""

from adverscarial.pl.vulnerability import vulnerability

__all__ = ["vulnerability"]
