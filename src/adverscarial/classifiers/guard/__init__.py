"""A guard in front of a classifier: values that the training data make impossible never reach it."""
