"""Imported first by programs: they start and end quicker.

PyTorch, POSGGym and Snakemake make hundreds of thousands of objects at import, which
stay until the process ends. Python looks for garbage among them again and again while
they are made, and once more at the end. Without that, scripts and Snakemake itself take
a third less time before and after their work.
"""

from __future__ import annotations

import atexit
import gc

# What there is now stays as well.
gc.freeze()
gc.set_threshold(100_000)
atexit.register(gc.freeze)
