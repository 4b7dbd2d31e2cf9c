"""Adapters: what other libraries and functions label cells with, as classifiers."""
