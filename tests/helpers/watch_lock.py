"""Ask for ever whether a file is locked, as a status table that is always open.

python tests/helpers/watch_lock.py FILE
"""

import sys
from pathlib import Path

from pgpelib.utils.locks import is_locked

while True:
    is_locked(Path(sys.argv[1]))
