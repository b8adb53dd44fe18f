"""One thread for the numerical libraries, so that results are the same everywhere.

BLAS sums large products in an order that depends on its threads, and so the last bits
of a result do. Parallel work is done by processes here, which would only wait for each
other's threads.

The libraries read these variables when they are loaded. Importing this module sets
them for this process and for those that it starts, whatever they were: Snakemake, for
one, exports the threads of the rule as OMP_NUM_THREADS. `pgpelib` and `posggym_es`
import it before anything else.
"""

from __future__ import annotations

import os

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    "1",
)

os.environ.update(ONE_THREAD)
