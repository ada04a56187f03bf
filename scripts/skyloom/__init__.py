"""Skyloom: telescope archives to source catalogs, one room an idea.

Rooms, from the ground up: ``archive``, ``instruments``, ``sky``, ``images``, ``detect``, ``nets``, ``learn``,
``catalog``, ``plots``; ``cases`` stands on top and holds one module for each science case.
"""

__version__ = "0.1.0"
