"""Check again and again whether a file is locked, like a status table.

python tests/helpers/watch_lock.py FILE
"""

import sys
from pathlib import Path

from pgpelib.utils.locks import is_locked

while True:
    is_locked(Path(sys.argv[1]))
