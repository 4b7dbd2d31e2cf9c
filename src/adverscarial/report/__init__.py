"""A survey as one HTML file that a biologist reads and that opens without a network."""

from adverscarial.report import (  # noqa: F401  each registers itself
    combinations,
    descents,
    genes_needed,
    gradients,
    signatures,
    single,
)
from adverscarial.report.html import write_report

__all__ = ["write_report"]
