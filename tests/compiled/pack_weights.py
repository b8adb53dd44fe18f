"""Pack weights; print them, and how many kernels were found on disk."""

import numpy as np

from posggym_compiled.networks import Architecture, make_plan, pack, packed_weights

plan = make_plan([Architecture(3, 2)])
packed = packed_weights(plan)[0]
none = np.zeros(0)
pack(plan, 0, np.arange(8.0), none, none, packed)
print(packed[:4, :2].ravel().tolist(), sum(pack.stats.cache_hits.values()))
