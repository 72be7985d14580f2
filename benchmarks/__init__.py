"""Measurements, one file a question; ``python -m benchmarks --list`` names them.

Each has ``run(folder, ...) -> rows``, where ``folder`` holds what was trained, so that a run that
was stopped goes on. What README and docs/results claim comes from the tables that these write.
"""
