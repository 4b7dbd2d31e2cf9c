"""Surveys: classifiers x clusters x attacks in one table; interrupted and started again, they go on."""

from adverscarial.surveys.run import survey
from adverscarial.surveys.table import Survey

__all__ = ["Survey", "survey"]
