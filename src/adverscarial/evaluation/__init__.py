"""Evaluation: many attacks on many clusters and classifiers."""

from adverscarial.evaluation.survey import Survey, survey

__all__ = ["Survey", "survey"]
