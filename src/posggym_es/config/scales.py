"""The name of the scale without limits.

Scripts need it before they choose which posggym they import, so it has a module that
imports nothing.
"""

from __future__ import annotations

FULL_SCALE = "full"
