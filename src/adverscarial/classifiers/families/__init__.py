"""Classifiers that are trained here: one file for each family, with its scorer."""
