"""Figures: one module a kind, functions from arrays and tables to a Matplotlib figure."""
