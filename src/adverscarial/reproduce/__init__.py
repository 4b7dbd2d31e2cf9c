"""The paper's figures and tables from one data set: the protocol, the attacks, the published numbers beside ours."""

from adverscarial.reproduce.discovery import discovery
from adverscarial.reproduce.facts import facts
from adverscarial.reproduce.fig1 import fig1
from adverscarial.reproduce.fig2 import fig2
from adverscarial.reproduce.fig3 import fig3
from adverscarial.reproduce.fig4 import fig4
from adverscarial.reproduce.findings import Finding
from adverscarial.reproduce.numbers import read_numbers
from adverscarial.reproduce.protocol import Setting, setting
from adverscarial.reproduce.sctype import read_published, sctype
from adverscarial.reproduce.statements import statements
from adverscarial.reproduce.table1 import table1
from adverscarial.reproduce.writing import Outcome, write

__all__ = [
    "Finding",
    "Outcome",
    "Setting",
    "discovery",
    "facts",
    "fig1",
    "fig2",
    "fig3",
    "fig4",
    "read_numbers",
    "read_published",
    "sctype",
    "setting",
    "statements",
    "table1",
    "write",
]
