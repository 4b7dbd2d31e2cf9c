"""Reading classifiers from files."""
