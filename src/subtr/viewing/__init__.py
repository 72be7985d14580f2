"""Figures, players, widgets and helpers of notebooks."""
