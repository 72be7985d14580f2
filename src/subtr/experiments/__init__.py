"""Experiments: what notebooks and commands call to train, score, decode and tabulate."""
