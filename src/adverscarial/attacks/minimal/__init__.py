"""The smallest set of genes that reaches a goal: proven lower bounds, and sets that are found.

The goal is always that a label of a given kind wins the vote of a cluster. To flip a label is to let another one win;
to find a signature is to start with all genes changed, and to give back as few as possible until the old label wins.
"""
