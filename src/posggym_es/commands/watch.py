"""Play an agent live in a window, or film it where there is no display.

AGENT is a folder in results/ or the zoo, the id of an agent in results/registry or the
zoo, or the id of any agent of the installed posggym.

Examples
--------
  posggym-es watch Driving-v1/driving/seed3
  posggym-es watch results/lunarlander/seed1 --episodes 5
  posggym-es watch Driving-v1/A40Shortestpath-v0 --output film.mp4
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

EXTRA = "film"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("agent", metavar="AGENT", help="folder or id of the agent")
    parser.add_argument(
        "--episodes", type=int, default=3, help="in the window (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first episode (default: 0)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="film one episode instead of opening a window (MP4)",
    )


def main(args: argparse.Namespace) -> None:
    """Play, and print the return of each episode."""
    if args.output is None and has_display():
        show(args)
    else:
        film(args, args.output or Path("film.mp4"))


def has_display() -> bool:
    """Return whether windows can be opened."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(args: argparse.Namespace) -> None:
    """Play episodes in a window."""
    from posggym_es.commands.finding import find_agent
    from posggym_es.evaluation.playing import player_of

    agent = find_agent(args.agent)
    player = player_of(agent.spec.id, agent.co_players(), render_mode="human")
    for seed in range(args.seed, args.seed + args.episodes):
        value, steps = player.play(seed, lambda env: env.render())
        print(f"{agent.spec.id}: seed {seed}, return {value:.2f}, {steps} steps")


def film(args: argparse.Namespace, path: Path) -> None:
    """Film the episode of a seed."""
    # Renderers read these when they are imported.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("MUJOCO_GL", "egl")
    from posggym_es.commands.finding import find_agent
    from posggym_es.evaluation.films import film_episode, write_mp4
    from posggym_es.evaluation.playing import player_of

    agent = find_agent(args.agent)
    company, name = agent.co_players(), agent.spec.id
    # The frame rate depends on the length.
    _, steps = player_of(name, company).play(args.seed)
    frames, fps, value = film_episode(
        lambda: player_of(name, company, "rgb_array"),
        agent.spec.env_id,
        args.seed,
        steps,
    )
    write_mp4(frames, fps, path)
    print(f"{name}: seed {args.seed}, return {value:.2f}, {steps} steps; {path}")
