"""A survey as one HTML file that a biologist reads and that opens without a network."""

from adverscarial.report import combinations, descents, gradients, signatures, single  # noqa: F401  each registers itself
from adverscarial.report.html import write_report

__all__ = ["write_report"]
