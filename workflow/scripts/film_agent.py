#!/usr/bin/env python
r"""Film one of a registered agent's verified episodes, as MP4 and as a small WebP.

No display is needed. If the environment cannot be rendered, for example because a
graphics library is missing, `film.json` has the reason, and the script succeeds.

Examples
--------
    film_agent.py --posggym_tree TREE --spec spec.json \
        --verification verification.json --output film
"""

from __future__ import annotations

import os
from pathlib import Path

from tqdm import tqdm

from posggym_es.workflow import cli
from pgpelib.utils.files import atomic_directory, write_json
from posggym_es.evaluation.file_names import (
    FILM_FACTS_FILE,
    FILM_FILE,
    PREVIEW_FILE,
)
from posggym_es.registration.spec import AgentSpec


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--posggym_tree", type=Path, required=True)
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--verification", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    # Renderers read these when they are imported.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("MUJOCO_GL", "egl")
    cli.use_posggym_tree(args.posggym_tree)
    # These import posggym, so only now.
    from posggym_es.evaluation.films import FilmError, record, write_mp4, write_preview
    from posggym_es.evaluation.verification_report import read_verification

    spec = AgentSpec.read(args.spec)
    verification = read_verification(args.verification)
    with atomic_directory(args.output) as folder:
        try:
            with tqdm(unit="frame", disable=None) as bar:
                frames, fps, facts = record(spec, verification, lambda: bar.update())
        except FilmError as error:
            print(f"no film: {error}")
            write_json(folder / FILM_FACTS_FILE, {"reason": str(error)})
            return
        write_mp4(frames, fps, folder / FILM_FILE)
        write_preview(frames, fps, folder / PREVIEW_FILE)
        write_json(
            folder / FILM_FACTS_FILE, {**facts, "frames": len(frames), "fps": fps}
        )
    print(f"{len(frames)} frames in {args.output / FILM_FILE}")


if __name__ == "__main__":
    cli.run(main)
