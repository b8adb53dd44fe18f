"""Limits numerical libraries to one thread, so that results are the same everywhere.

The order in which BLAS sums large products depends on its number of threads, and with
it the last bits of the result. This project parallelises with processes, whose threads
would only compete for cores.

The libraries read these variables when they are loaded. Importing this module sets them
for this process and its children, overriding existing values: Snakemake, for example,
exports a rule's threads as OMP_NUM_THREADS. `pgpelib` and `posggym_es` import it before
anything else.
"""

from __future__ import annotations

import os

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    "1",
)

os.environ.update(ONE_THREAD)
