"""Grids for kernels. Cells are numbered by rows: `y * width + x`.

Source: `posggym.envs.grid_world.core`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from posggym_compiled.interface import Integers
from posggym_compiled.random import python_random

Coord = tuple[int, int]
# The directions of up, down, left and right, which are actions 1 to 4 in worlds where
# action 0 is to stay.
DIRECTIONS = np.array([0, 2, 3, 1])


class Cells(NamedTuple):
    """A grid with blocks.

    Parameters
    ----------
    width
        Cells of a row.
    x, y
        Shape (cells,): coordinates.
    moves
        Shape (cells, 4): where a move to north, east, south or west leads; to the cell
        itself where the grid ends or a block stands.
    neighbours
        Shape (cells, 4): the other cells to which a move leads, in the same order.
    num_neighbours
        Shape (cells,): their number.
    """

    width: int
    x: Integers
    y: Integers
    moves: Integers
    neighbours: Integers
    num_neighbours: Integers


class PairState(NamedTuple):
    """State of a world of two agents on a grid; the first dimension: environments.

    Parameters
    ----------
    rng
        uint32 (n, 625): Python's random generators.
    cells
        int64 (n, 2): where the agents are.
    more
        int64 (n, k): what else a world keeps.
    """

    rng: npt.NDArray[np.uint32]
    cells: Integers
    more: Integers


def make_pair_state(num_envs: int, more: int = 0) -> PairState:
    """Return a state with `more` further numbers for each environment."""
    return PairState(
        rng=np.zeros((num_envs, python_random.SIZE), np.uint32),
        cells=np.zeros((num_envs, 2), np.int64),
        more=np.zeros((num_envs, more), np.int64),
    )


def make_cells(grid: Any) -> Cells:
    """Return the numbers of a grid of POSGGym."""
    size = grid.width * grid.height
    y, x = np.divmod(np.arange(size), grid.width)
    moves = np.zeros((size, 4), np.int64)
    neighbours = np.full((size, 4), -1)
    counts = np.zeros(size, np.int64)
    for cell, coord in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        for direction in range(4):
            moves[cell, direction] = number(grid, grid.get_next_coord(coord, direction))
        near = numbers(grid, grid.get_neighbours(coord))
        counts[cell] = len(near)
        neighbours[cell, : len(near)] = near
    return Cells(grid.width, x, y, moves, neighbours, counts)


def number(grid: Any, coord: Coord) -> int:
    """Return the number of a cell."""
    return int(coord[1]) * int(grid.width) + int(coord[0])


def numbers(grid: Any, coords: Iterable[Coord]) -> Integers:
    """Return the numbers of cells."""
    return np.array([number(grid, coord) for coord in coords], np.int64)


def marked(grid: Any, coords: Iterable[Coord]) -> npt.NDArray[np.bool_]:
    """Return which cells are among some, shape (cells,)."""
    marks = np.zeros(grid.width * grid.height, np.bool_)
    marks[numbers(grid, coords)] = True
    return marks


def distances(grid: Any, goals: Iterable[Coord]) -> Integers:
    """Return the steps from every cell to goals, shape (goals, cells).

    They come from the grid's `shortest_paths`; -1 where there is no way.
    """
    goals = list(goals)
    table = np.full((len(goals), grid.width * grid.height), -1)
    for row, goal in enumerate(goals):
        for coord, distance in grid.shortest_paths[goal].items():
            table[row, number(grid, coord)] = distance
    return table
