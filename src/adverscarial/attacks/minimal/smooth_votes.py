"""Smooth votes: the softmax of a cell's scores over a temperature, which moves before the label changes."""

from __future__ import annotations

import numpy as np


def median_margin(scores: np.ndarray) -> float:
    """Return the median lead of the best score over the second, by which temperatures are measured."""
    best = np.partition(scores, -2, axis=1)
    return float(np.median(best[:, -1] - best[:, -2])) or 1.0


def slope(scores: np.ndarray, tilt: np.ndarray, width: float) -> np.ndarray:
    """Return the derivative of the smooth votes with respect to each score, shape of `scores`.

    Parameters
    ----------
    scores
        Shape (cells, labels).
    tilt
        What a vote for each label counts.
    width
        The temperature.
    """
    votes = np.exp((scores - scores.max(axis=1, keepdims=True)) / width)
    votes /= votes.sum(axis=1, keepdims=True)
    derivative: np.ndarray = votes * (tilt - (votes @ tilt)[:, None]) / width
    return derivative
