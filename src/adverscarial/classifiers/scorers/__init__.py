"""Scorers: what a classifier would say of a changed cluster, at the cost of what has changed."""
