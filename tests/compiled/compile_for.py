"""Compile a kernel for a type, and print how many kernels were found on disk.

python compile_for.py TYPE
"""

import sys

import numpy as np

from posggym_compiled.jit import lean_kernel


@lean_kernel
def double(values):
    for i in range(len(values)):
        values[i] += values[i]


double(np.zeros(3, sys.argv[1]))
print(sum(double.stats.cache_hits.values()))
