"""The paper's figures and tables from one data set: the protocol, the attacks, the published numbers beside ours."""

from adverscarial.reproduce.facts import facts
from adverscarial.reproduce.fig2 import fig2
from adverscarial.reproduce.fig3 import fig3
from adverscarial.reproduce.fig4 import fig4
from adverscarial.reproduce.findings import Finding
from adverscarial.reproduce.protocol import Setting, setting
from adverscarial.reproduce.sctype import read_published, sctype
from adverscarial.reproduce.table1 import table1
from adverscarial.reproduce.writing import Outcome, write

__all__ = [
    "Finding",
    "Outcome",
    "Setting",
    "facts",
    "fig2",
    "fig3",
    "fig4",
    "read_published",
    "sctype",
    "setting",
    "table1",
    "write",
]
