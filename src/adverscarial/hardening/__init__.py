"""Adversarial training: attack a classifier, show it its mistakes with the right labels, train it again.

Two ways. Any classifier with ``fit`` learns from *examples*: attacked cells that a model gets wrong join its training
set. The MLP can also learn inside each training step (*pgd*, Madry et al. 2018): every batch is first moved to where
the network of that moment does worst, within a small box around each cell.
"""

from adverscarial.hardening.examples import adversarial_cells
from adverscarial.hardening.outcome import Hardening
from adverscarial.hardening.pgd import projected_gradient
from adverscarial.hardening.training import harden

__all__ = ["Hardening", "adversarial_cells", "harden", "projected_gradient"]
