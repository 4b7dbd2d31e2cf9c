"""Classifiers that are written in R, asked in an R process of their own."""
