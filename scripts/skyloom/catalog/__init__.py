"""Catalogs: their columns, their rows, how they are checked and how they are written."""
