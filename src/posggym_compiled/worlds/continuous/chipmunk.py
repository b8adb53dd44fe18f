"""Chipmunk, the physics engine below pymunk, called from compiled code.

Each environment of a batch has a Chipmunk space of its own, made of the shapes of a
POSGGym world: the same functions are called in the same order as by `pymunk`, so the
bodies move with the same bits.

POSGGym keeps its space when it is reset. The engine then still knows contacts of the
episode before, and its search tree has another shape, so a used environment of POSGGym
gives other episodes than a new one for the same seed and actions. Here, an episode is
always that of a new environment.
"""

from __future__ import annotations

import dataclasses
import math
import weakref
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pymunk
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.types.containers import UniTuple
from numba.extending import intrinsic
from pymunk._chipmunk_cffi import ffi, lib

from posggym_compiled.interface import UnsupportedError
from posggym_compiled.jit import lean_helper
from posggym_compiled.native import Address, bind, c_function

Addresses = npt.NDArray[np.uint64]
# One state, and those of all bodies of an environment.
Body = npt.NDArray[np.float32]
Bodies = npt.NDArray[np.float32]

# x, y, angle, velocity along x and y, angular velocity: POSGGym's state of a body.
BODY_SIZE = 6
# POSGGym plays a step of an environment as so many of the engine.
SUBSTEPS = 10
SUBSTEP = 1.0 / 10
TWO_PI = 2 * math.pi
_ALL = 0xFFFFFFFF


def _address(name: str) -> int:
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))


def _function(name: str, result: Any, *arguments: Any) -> Any:
    return c_function(name, _address(name), result(*arguments))


def _vector_function(name: str) -> Any:
    """Return a C function of an address that returns a `cpVect`, as a tuple."""
    symbol = bind(name, _address(name))

    @intrinsic
    def call(typingctx: Any, pointer: Any) -> Any:
        result = UniTuple(types.float64, 2)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            vector = ir.LiteralStructType([ir.DoubleType(), ir.DoubleType()])
            kind = ir.FunctionType(vector, [args[0].type])
            function = cgutils.get_or_insert_function(builder.module, kind, symbol)
            parts = cgutils.unpack_tuple(builder, builder.call(function, args), 2)
            return context.make_tuple(builder, result, parts)

        return result(Address), codegen

    return call


# A `cpVect` argument is two doubles for the calling conventions of x86-64 and aarch64.
_number = types.float64
_space_step = _function("cpSpaceStep", types.void, Address, _number)
_add_body = _function("cpSpaceAddBody", Address, Address, Address)
_add_shape = _function("cpSpaceAddShape", Address, Address, Address)
_remove_body = _function("cpSpaceRemoveBody", types.void, Address, Address)
_remove_shape = _function("cpSpaceRemoveShape", types.void, Address, Address)
_set_shape_ids = _function("cpSpaceSetShapeIDCounter", types.void, Address, Address)
_update_position = _function("cpBodyUpdatePosition", types.void, Address, _number)
_set_position = _function("cpBodySetPosition", types.void, Address, _number, _number)
_set_velocity = _function("cpBodySetVelocity", types.void, Address, _number, _number)
_set_angle = _function("cpBodySetAngle", types.void, Address, _number)
_set_turning = _function("cpBodySetAngularVelocity", types.void, Address, _number)
_get_position = _vector_function("cpBodyGetPosition")
_get_velocity = _vector_function("cpBodyGetVelocity")
_get_angle = _function("cpBodyGetAngle", _number, Address)
_get_turning = _function("cpBodyGetAngularVelocity", _number, Address)


class Spaces(NamedTuple):
    """The physics of a batch of environments, as addresses of Chipmunk's objects.

    Parameters
    ----------
    spaces
        Shape (num_envs,). The objects are freed with this array.
    bodies, shapes
        Of what moves, in the order of POSGGym's `world.entities`;
        shape (num_envs, bodies).
    first_ids
        The number that Chipmunk gives to the first shape that moves,
        shape (num_envs,).
    """

    spaces: Addresses
    bodies: Addresses
    shapes: Addresses
    first_ids: Addresses


# --- building, in Python --------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Part:
    """A shape of a world, with its body.

    Parameters
    ----------
    body
        Number of the body. Shapes that share a body have the same number.
    inertia
        Mass and moment of the body; None if it never moves.
    position
        Of the body.
    ends
        Both ends of a segment; the center of a circle, relative to the body, alone.
    radius
        Radius of the circle, or around the segment.
    friction, elasticity, collision_type, group
        What Chipmunk knows about the shape. Shapes of a group other than 0 do not
        come into contact.
    """

    body: int
    inertia: tuple[float, float] | None
    position: tuple[float, float]
    ends: tuple[tuple[float, float], ...]
    radius: float
    friction: float
    elasticity: float
    collision_type: int
    group: int


def parts_of(world: Any) -> list[Part]:
    """Return the shapes of a POSGGym world, in their order.

    Parameters
    ----------
    world
        A new `posggym.envs.continuous.core.AbstractContinuousWorld`.

    Raises
    ------
    UnsupportedError
        If the world has shapes that POSGGym's own worlds do not have.
    """
    moving = [shape for _, shape in world.entities.values()]
    fixed = [shape for shape in world.space.shapes if shape not in moving]
    if any(shape.body.body_type != pymunk.Body.STATIC for shape in fixed):
        raise UnsupportedError("the world has been used by another environment")
    if world.space.shapes != fixed + moving:
        raise UnsupportedError("the walls of a world must be older than its entities")
    # POSGGym has a callback drop contacts of agents, before they have an effect.
    group = 0 if world.enable_agent_collisions else 1
    numbers: dict[int, int] = {}
    parts = []
    for shape in fixed + moving:
        number = numbers.setdefault(shape.body.id, len(numbers))
        parts.append(_part(shape, number, group if shape in moving else 0))
    return parts


def _part(shape: pymunk.Shape, number: int, group: int) -> Part:
    body = shape.body
    assert body is not None
    if isinstance(shape, pymunk.Circle):
        ends = [shape.offset]
    elif isinstance(shape, pymunk.Segment):
        ends = [shape.a, shape.b]
    else:
        raise UnsupportedError(f"{type(shape).__name__}: only circles and segments")
    moves = body.body_type == pymunk.Body.DYNAMIC
    return Part(
        body=number,
        inertia=(body.mass, body.moment) if moves else None,
        position=(body.position.x, body.position.y),
        ends=tuple((x, y) for x, y in ends),
        radius=shape.radius,
        friction=shape.friction,
        elasticity=shape.elasticity,
        collision_type=shape.collision_type,
        group=group,
    )


class _Space:
    """A Chipmunk space, and the objects in it."""

    def __init__(self, parts: list[Part]) -> None:
        self.space = lib.cpSpaceNew()
        self.shapes: list[Any] = []
        self.bodies: dict[int, Any] = {}
        for part in parts:
            self._add(part)

    def _add(self, part: Part) -> None:
        body = self.bodies.get(part.body)
        if body is None:
            moves = part.inertia is not None
            body = lib.cpBodyNew(*part.inertia) if moves else lib.cpBodyNewStatic()
            lib.cpBodySetPosition(body, part.position)
            lib.cpSpaceAddBody(self.space, body)
            self.bodies[part.body] = body
        if len(part.ends) == 1:
            shape = lib.cpCircleShapeNew(body, part.radius, part.ends[0])
        else:
            shape = lib.cpSegmentShapeNew(body, *part.ends, part.radius)
        lib.cpShapeSetFriction(shape, part.friction)
        lib.cpShapeSetElasticity(shape, part.elasticity)
        lib.cpShapeSetCollisionType(shape, part.collision_type)
        lib.cpShapeSetFilter(shape, (part.group, _ALL, _ALL))
        lib.cpSpaceAddShape(self.space, shape)
        self.shapes.append(shape)

    def free(self) -> None:
        lib.cpSpaceFree(self.space)
        for shape in self.shapes:
            lib.cpShapeFree(shape)
        for body in self.bodies.values():
            lib.cpBodyFree(body)


def make_spaces(parts: list[Part], num_envs: int) -> Spaces:
    """Return new spaces, each with the same shapes."""
    made = [_Space(parts) for _ in range(num_envs)]
    spaces = np.array([_integer(one.space) for one in made], np.uint64)
    weakref.finalize(spaces, _free, made).atexit = False
    moving = [i for i, part in enumerate(parts) if part.inertia is not None]
    bodies = [[_integer(one.bodies[parts[i].body]) for i in moving] for one in made]
    shapes = [[_integer(one.shapes[i]) for i in moving] for one in made]
    return Spaces(
        spaces,
        np.array(bodies, np.uint64),
        np.array(shapes, np.uint64),
        np.full(num_envs, len(parts) - len(moving), np.uint64),
    )


def _integer(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


def _free(made: list[_Space]) -> None:
    for one in made:
        one.free()


# --- playing, compiled ----------------------------------------------------------------


@lean_helper
def renew(spaces: Spaces, env: int, entities: Bodies) -> None:
    """Make a space as good as new, with everything at rest at (0, 0).

    What moves is taken out and put back: the engine then has no contacts left, its
    search tree grows again from nothing, and shapes get the numbers they had.
    """
    space = spaces.spaces[env]
    for i in range(spaces.bodies.shape[1]):
        _remove_shape(space, spaces.shapes[env, i])
        _remove_body(space, spaces.bodies[env, i])
    _set_shape_ids(space, spaces.first_ids[env])
    for i in range(spaces.bodies.shape[1]):
        body = spaces.bodies[env, i]
        # A move that takes no time uses up what the solver left to be pushed apart.
        _update_position(body, 0.0)
        for k in range(BODY_SIZE):
            entities[i, k] = 0
        place(spaces, env, i, entities[i])
        _add_body(space, body)
        _add_shape(space, spaces.shapes[env, i])


@lean_helper
def place(spaces: Spaces, env: int, i: int, entity: Body) -> None:
    """Give a body its state, as POSGGym's `set_entity_state`."""
    body = spaces.bodies[env, i]
    _set_position(body, entity[0], entity[1])
    _set_turning(body, entity[5])
    move(spaces, env, i, entity[2], entity[3], entity[4])


@lean_helper
def move(spaces: Spaces, env: int, i: int, angle: float, x: float, y: float) -> None:
    """Give a body an angle and a velocity, as POSGGym's `update_entity_state`."""
    body = spaces.bodies[env, i]
    _set_angle(body, angle)
    _set_velocity(body, x, y)


@lean_helper
def simulate(spaces: Spaces, env: int, entities: Bodies) -> None:
    """Let the bodies move for a step, and write their states.

    As POSGGym's `simulate`, then `get_entity_state` in float32. The angles go into
    the states alone: before the next step, the bodies get them from there.
    """
    for _ in range(SUBSTEPS):
        _space_step(spaces.spaces[env], SUBSTEP)
    for i in range(len(entities)):
        body = spaces.bodies[env, i]
        entities[i, 0], entities[i, 1] = _get_position(body)
        entities[i, 2] = _get_angle(body) % TWO_PI
        entities[i, 3], entities[i, 4] = _get_velocity(body)
        entities[i, 5] = _get_turning(body) % TWO_PI
