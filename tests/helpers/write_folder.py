"""Write a folder atomically, and complete it when the input ends.

python tests/helpers/write_folder.py FOLDER
"""

import sys
from pathlib import Path

from pgpelib.utils.files import atomic_directory

with atomic_directory(Path(sys.argv[1])) as folder:
    (folder / "summary.json").write_text("{}")
    print("working", flush=True)
    sys.stdin.read()
