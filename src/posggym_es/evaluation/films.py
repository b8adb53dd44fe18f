"""Films of registered agents, rendered without a display."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import posggym
from PIL import Image

from posggym_es.evaluation.playing import CoPlayers, Player
from posggym_es.evaluation.verification import registered_player
from posggym_es.registration.spec import AgentSpec

Frame = npt.NDArray[np.uint8]

# Limits of the film's frame rate and length. Grid worlds are shown more slowly, so that
# one can follow an episode.
MAX_FPS = 30
MAX_SECONDS = 20
MIN_SECONDS = 5
MIN_FPS = 2
# The preview: width in pixels, frames per second, number of frames.
PREVIEW_WIDTH = 240
PREVIEW_FPS = 10
PREVIEW_FRAMES = 80


class FilmError(RuntimeError):
    """The environment cannot be rendered; the message has the reason."""


class _RenderingError(Exception):
    """Wraps any error of a renderer."""


def typical_episode(verification: dict[str, Any]) -> int:
    """Return the index of the verified episode with the median return."""
    order = np.argsort(verification["returns"], kind="stable")
    return int(order[(len(order) - 1) // 2])


def timing(steps: int, render_fps: float) -> tuple[int, int]:
    """Return how many steps of an episode make a frame, and the frame rate.

    Parameters
    ----------
    steps
        Length of the episode.
    render_fps
        Steps per second in the environment's own time.

    Returns
    -------
    stride : int
        Steps per frame.
    fps : int
        Frames per second.
    """
    stride = max(1, math.ceil(render_fps / MAX_FPS))
    fps = render_fps / stride
    if steps < render_fps * MIN_SECONDS:
        stride = max(1, steps // (MAX_FPS * MIN_SECONDS))
        fps = min(max(steps / stride / MIN_SECONDS, MIN_FPS), MAX_FPS)
    return stride, max(1, round(fps))


def record(
    spec: AgentSpec,
    verification: dict[str, Any],
    on_frame: Callable[[], None] | None = None,
) -> tuple[list[Frame], int, dict[str, Any]]:
    """Replay and render the verified episode with the median return.

    Parameters
    ----------
    spec
        The agent, registered in the imported posggym.
    verification
        Its verification report: seeds, returns, lengths and co-players.
    on_frame
        Called after each frame.

    Returns
    -------
    frames : list of ndarray
        Images, uint8 of shape (height, width, 3).
    fps : int
        Frames per second.
    facts : dict
        `seed`, `return` and `steps` of the episode.

    Raises
    ------
    FilmError
        If the environment cannot be rendered, or the replay has a different return.
    """
    number = typical_episode(verification)
    seed, steps = verification["seeds"][number], verification["lengths"][number]
    co_players = CoPlayers(**verification["company"])
    frames, fps, episode = film_episode(
        lambda: registered_player(spec, co_players, render_mode="rgb_array"),
        spec.env_id,
        seed,
        steps,
        on_frame,
    )
    if episode != verification["returns"][number]:
        raise FilmError(
            f"{spec.id}: the episode of seed {seed} returned {episode} when filmed and "
            f"{verification['returns'][number]} when verified"
        )
    return frames, fps, {"seed": seed, "return": episode, "steps": steps}


def film_episode(
    make_player: Callable[[], Player],
    env_id: str,
    seed: int,
    steps: int,
    on_frame: Callable[[], None] | None = None,
) -> tuple[list[Frame], int, float]:
    """Play the episode of a seed, and render it.

    Parameters
    ----------
    make_player
        Creates the player, with render mode "rgb_array".
    env_id
        Id of its environment, for messages.
    seed, steps
        Seed and length of the episode.
    on_frame
        Called after each frame.

    Returns
    -------
    frames : list of ndarray
        Images, uint8 of shape (height, width, 3).
    fps : int
        Frames per second.
    episode : float
        Return of the episode.

    Raises
    ------
    FilmError
        If the environment cannot be rendered.
    """
    frames: list[Frame] = []
    states = stride = fps = 0

    def show(env: Any) -> None:
        nonlocal states, stride, fps
        if states == 0:
            stride, fps = timing(steps, float(env.metadata.get("render_fps") or 30))
        if states % stride == 0 and len(frames) < fps * MAX_SECONDS:
            frames.append(_picture(env))
            if on_frame is not None:
                on_frame()
        states += 1

    try:
        episode, _ = make_player().play(seed, show)
    except posggym.error.UnsupportedMode as error:
        raise FilmError(f"{env_id} has no images: {error}") from error
    except (
        _RenderingError,
        gymnasium.error.Error,
        ImportError,
        OSError,
        ValueError,
    ) as error:
        reason = error.__cause__ or error
        raise FilmError(
            f"{env_id} cannot be rendered here "
            f"({type(reason).__name__}: {reason}); MuJoCo needs the system libraries "
            "libegl1 or libosmesa6, and MUJOCO_GL=egl or osmesa"
        ) from error
    return frames, fps, episode


def _picture(env: Any) -> Frame:
    try:
        picture = env.render()
    except Exception as error:
        # Every renderer raises different errors if OpenGL is missing.
        raise _RenderingError from error
    if isinstance(picture, dict):
        # POSGGym may render one image per agent, and one of the whole environment.
        picture = picture.get("env", next(iter(picture.values())))
    return np.asarray(picture, dtype=np.uint8)[..., :3]


def write_mp4(frames: list[Frame], fps: int, path: Path) -> None:
    """Write a film (H.264); the same frames give the same bytes."""
    # H.264 requires even sizes.
    height, width = (size - size % 2 for size in frames[0].shape[:2])
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=fps,
        codec="libx264",
        macro_block_size=2,
        quality=None,
        output_params=[
            *("-crf", "26", "-preset", "slow", "-threads", "1", "-movflags"),
            *("+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact"),
        ],
    )
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame[:height, :width]))
    writer.close()


def write_preview(frames: list[Frame], fps: int, path: Path) -> None:
    """Write a small animated WebP of the beginning of a film."""
    stride = max(1, round(fps / PREVIEW_FPS))
    small = []
    for frame in frames[::stride][:PREVIEW_FRAMES]:
        picture = Image.fromarray(frame)
        height = round(picture.height * PREVIEW_WIDTH / picture.width)
        small.append(picture.resize((PREVIEW_WIDTH, height), Image.Resampling.LANCZOS))
    small[0].save(
        path,
        format="WEBP",
        save_all=True,
        append_images=small[1:],
        duration=round(1000 * stride / fps),
        loop=0,
        quality=60,
    )
