"""Forward passes of small networks: linear, multi-layer perceptron, or with an LSTM.

A network's parameters are one vector in the order of PyTorch's `parameters_to_vector`:
layer by layer the weights by rows, then the bias; for an LSTM the weights of the input,
those of the hidden state (gates in the order input, forget, cell, output), then one
bias. `pack` puts them, transposed, into blocks of 8 outputs: a layer adds rows, one for
each input. An observation that is one-hot adds only the rows of its ones. Blocks that
are computed together are beside each other, so that a large layer is read in one go.

Sums run over the inputs in their order, so results do not depend on the width of the
processor's vectors, and `tanh` is computed here rather than by the system's C library:
the bits of a network's outputs are the same on every machine. In float32, products are
added with one rounding, which is faster; in float64, with two.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic, overload

from posggym_compiled.interface import Integers
from posggym_compiled.jit import INLINED, inlined_helper, lean_helper, lean_kernel
from posggym_compiled.vectors import broadcast

Vector = npt.NDArray[np.float64]
# Of networks, which compute in float64 or in float32.
Numbers = npt.NDArray[Any]
Dtype = type[np.float64] | type[np.float32]

ACTIVATIONS = "tanh", "relu"

# Columns of a layer's description: what it is, its inputs and outputs (for an LSTM
# cells), where its parameters begin in the vector, and its rows of blocks: those of the
# inputs, of the hidden state, and of the bias; blocks of a row.
KIND, INPUTS, OUTPUTS, SOURCE, ROWS, HIDDEN_ROWS, BIAS_ROW, BLOCKS = range(8)
LINEAR, LSTM = range(2)
LANES = 8
# Blocks of a layer that are computed together, and inputs where they share weights.
GROUP = 4
SHARED = 4
# Bytes of the longest vectors; weights that inputs share are read in these.
LONGEST = 64


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes of a network's layers.

    Parameters
    ----------
    observation_size
        Length of the processed observation.
    output_size
        Length of the output: number of discrete actions, or length of a Box.
    hidden
        Sizes of the hidden layers, with an LSTM those before it.
    activation
        "tanh" or "relu", after every hidden layer.
    lstm_size
        Cells of the LSTM; 0 for none.
    head
        Sizes of the hidden layers after the LSTM.
    """

    observation_size: int
    output_size: int
    hidden: tuple[int, ...] = ()
    activation: str = "tanh"
    lstm_size: int = 0
    head: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {self.activation!r}; choose tanh or relu"
            )
        if self.head and not self.lstm_size:
            raise ValueError("head only follows an LSTM; set lstm_size or use hidden")

    @property
    def layers(self) -> list[tuple[int, int, int]]:
        """Kind, inputs and outputs of each layer."""
        trunk = [self.observation_size, *self.hidden]
        head = [self.output_size]
        if self.lstm_size:
            head = [self.lstm_size, *self.head, self.output_size]
        else:
            trunk += head
        layers = [(LINEAR, *pair) for pair in itertools.pairwise(trunk)]
        if self.lstm_size:
            layers.append((LSTM, trunk[-1], self.lstm_size))
        return layers + [(LINEAR, *pair) for pair in itertools.pairwise(head)]

    @property
    def num_parameters(self) -> int:
        """Length of the parameter vector."""
        return sum(_num_parameters(*layer) for layer in self.layers)


def _num_parameters(kind: int, inputs: int, outputs: int) -> int:
    if kind == LSTM:
        return 4 * outputs * (inputs + outputs + 1)
    return outputs * (inputs + 1)


class Plan(NamedTuple):
    """Layers of several networks, for kernels.

    Parameters
    ----------
    layers
        Shape (networks, most layers, 8): what the columns above say.
    counts
        Shape (networks,): number of layers.
    relu
        Shape (networks,): whether the activation is relu rather than tanh.
    """

    layers: Integers
    counts: Integers
    relu: Integers


def make_plan(architectures: Sequence[Architecture]) -> Plan:
    """Return the plan of networks."""
    counts = [len(architecture.layers) for architecture in architectures]
    layers = np.zeros((len(counts), max(counts), 8), np.int64)
    for network, architecture in enumerate(architectures):
        source = row = 0
        for number, (kind, inputs, outputs) in enumerate(architecture.layers):
            sums = 4 * outputs if kind == LSTM else outputs
            blocks = math.ceil(sums / LANES)
            hidden = row + inputs * blocks
            bias = hidden + (outputs * blocks if kind == LSTM else 0)
            layers[network, number] = (
                *(kind, inputs, outputs, source, row, hidden, bias, blocks),
            )
            source += _num_parameters(kind, inputs, outputs)
            row = bias + blocks
    relu = [architecture.activation == "relu" for architecture in architectures]
    return Plan(layers, np.array(counts), np.array(relu, np.int64))


def packed_weights(plan: Plan, dtype: Dtype = np.float64) -> Numbers:
    """Return room for the weights of a plan's networks, (networks, rows, 8)."""
    rows = (plan.layers[:, :, BIAS_ROW] + plan.layers[:, :, BLOCKS]).max()
    return np.zeros((len(plan.layers), rows, LANES), dtype)


def memory_for(plan: Plan, *leading: int, dtype: Dtype = np.float64) -> Numbers:
    """Return room for LSTM states, shape (*leading, 2, blocks, 8)."""
    return np.zeros((*leading, 2, plan.layers[:, :, BLOCKS].max(), LANES), dtype)


def scratch_for(plan: Plan, *slots: int, dtype: Dtype = np.float64) -> Numbers:
    """Return scratch memory for `forward`, shape (2, *slots, blocks, 8)."""
    return np.zeros((2, *slots, plan.layers[:, :, BLOCKS].max(), LANES), dtype)


def shared_scratch_for(plan: Plan, slots: int, dtype: Dtype = np.float64) -> Numbers:
    """Return scratch memory for `forward_together`, shape (2, places, blocks, 8)."""
    return scratch_for(plan, slots + -slots % SHARED, dtype=dtype)


# --- packing --------------------------------------------------------------------------


@lean_kernel
def pack(
    plan: Plan,
    network: int,
    parameters: Vector,
    mean: Vector,
    stdev: Vector,
    packed: Numbers,
) -> None:
    """Write a network's weights in blocks.

    Parameters
    ----------
    plan, network
        Its layers.
    parameters
        Shape (num_parameters,).
    mean, stdev
        Shape (observation_size,): the network sees `(x - mean) / stdev`, which costs
        nothing, because it is folded into the first layer. Shape (0,) for none.
    packed
        Shape (rows, 8), written; rows that are no part of the layers stay as they are.
    """
    for number in range(plan.counts[network]):
        layer = plan.layers[network, number]
        inputs, outputs, source = layer[INPUTS], layer[OUTPUTS], layer[SOURCE]
        sums = 4 * outputs if layer[KIND] == LSTM else outputs
        blocks = layer[BLOCKS]
        _transpose(parameters, source, sums, inputs, packed, layer[ROWS], blocks)
        source += sums * inputs
        if layer[KIND] == LSTM:
            _transpose(
                parameters, source, sums, outputs, packed, layer[HIDDEN_ROWS], blocks
            )
            source += sums * outputs
        for o in range(sums):
            packed[layer[BIAS_ROW] + o // LANES, o % LANES] = parameters[source + o]
        if number == 0 and len(mean):
            _fold(packed, layer, mean, stdev)


@lean_helper
def _transpose(
    parameters: Vector,
    source: int,
    outputs: int,
    inputs: int,
    packed: Numbers,
    row: int,
    blocks: int,
) -> None:
    for o in range(outputs):
        block, lane = o // LANES, o % LANES
        for i in range(inputs):
            target = _row(row, inputs, blocks, i, block)
            packed[target, lane] = parameters[source + o * inputs + i]


@inlined_helper
def _row(first: int, inputs: int, blocks: int, i: int, block: int) -> int:
    """Return the row of an input's weights for a block of a layer's outputs."""
    grouped = blocks - blocks % GROUP
    if block < grouped:
        within = block % GROUP
        return first + (block - within) * inputs + i * GROUP + within
    return first + block * inputs + i


@lean_helper
def _fold(packed: Numbers, layer: Integers, mean: Vector, stdev: Vector) -> None:
    for block in range(layer[BLOCKS]):
        for i in range(layer[INPUTS]):
            row = _row(layer[ROWS], layer[INPUTS], layer[BLOCKS], i, block)
            for lane in range(LANES):
                packed[row, lane] /= stdev[i]
                packed[layer[BIAS_ROW] + block, lane] -= packed[row, lane] * mean[i]


# --- forward ------------------------------------------------------------------------


def _grown(builder: Any, total: Any, weights: Any, value: Any) -> Any:
    """Add products to sums: in float32 with one rounding, in float64 with two."""
    if total.type.element == ir.DoubleType():
        return builder.fadd(total, builder.fmul(weights, value))
    # llvmlite knows this for numbers only.
    kind = ir.FunctionType(total.type, [total.type] * 3)
    name = f"llvm.fma.v{total.type.count}f32"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [weights, value, total])


@intrinsic
def _layer(
    typing_context: Any,
    packed: Any,
    row: Any,
    rows: Any,
    blocks: Any,
    x: Any,
    count: Any,
    start: Any,
    first: Any,
    out: Any,
) -> Any:
    """Compute sums: add a layer's rows for inputs to numbers to start with.

    Written in LLVM's vectors of 8 numbers, because Numba's optimiser does not turn sums
    in registers into vectors. Processors without such vectors compute the same in
    parts. Several blocks grow together, because each has to wait for its last addition.

    Parameters
    ----------
    packed
        Weights, float64 or float32 (rows, 8).
    row, rows, blocks
        The layer's first row, its inputs, and its blocks.
    x, count
        The inputs and their number: int32 numbers of those that are 1, all others being
        0; or float64 values.
    start, first
        Shape (n, 8), and the row of it where the numbers to start with are.
    out
        Shape (blocks, 8): sums in the order of the inputs, written.
    """
    signature = numba.types.void(packed, row, rows, blocks, x, count, start, first, out)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        number_type = context.get_value_type(kinds[0].dtype)
        vector = ir.VectorType(number_type, LANES)

        def data(number: int) -> Any:
            array = context.make_array(kinds[number])(context, builder, args[number])
            return array.data

        def vectors(number: int) -> Any:
            return builder.bitcast(data(number), vector.as_pointer())

        row, rows, blocks, count, first = args[1], args[2], args[3], args[5], args[7]
        weights, starts, sums = vectors(0), vectors(6), vectors(8)
        starts = builder.gep(starts, [first])
        inputs, one_hot = data(4), isinstance(kinds[4].dtype, numba.types.Integer)
        totals = [cgutils.alloca_once(builder, vector) for _ in range(GROUP)]

        def grow(block: Any, width: int) -> None:
            """Compute `width` blocks from `block` on."""
            places = [
                builder.add(block, ir.Constant(block.type, i)) for i in range(width)
            ]
            for total, place in zip(totals, places, strict=False):
                value = builder.load(builder.gep(starts, [place]), align=4)
                builder.store(value, total)
            of_blocks = builder.add(row, builder.mul(block, rows))
            with cgutils.for_range(builder, count) as loop:
                value = builder.load(builder.gep(inputs, [loop.index]))
                if not one_hot:
                    if value.type != number_type:
                        value = builder.fptrunc(value, number_type)
                    wide = broadcast(builder, value, vector)
                number = builder.sext(value, row.type) if one_hot else loop.index
                offset = builder.mul(number, ir.Constant(row.type, width))
                here = builder.gep(weights, [builder.add(of_blocks, offset)])
                for i in range(width):
                    offset = ir.Constant(block.type, i)
                    term = builder.load(builder.gep(here, [offset]), align=4)
                    total = builder.load(totals[i])
                    if one_hot:
                        grown = builder.fadd(total, term)
                    else:
                        grown = _grown(builder, total, term, wide)
                    builder.store(grown, totals[i])
            for total, place in zip(totals, places, strict=False):
                target = builder.gep(sums, [place])
                builder.store(builder.load(total), target, align=4)

        group = ir.Constant(blocks.type, GROUP)
        with cgutils.for_range(builder, builder.sdiv(blocks, group)) as loop:
            grow(builder.mul(loop.index, group), GROUP)
        rest = builder.srem(blocks, group)
        with cgutils.for_range(builder, rest) as loop:
            grow(builder.add(builder.sub(blocks, rest), loop.index), 1)
        return context.get_dummy_value()

    return signature, generate


@inlined_helper
def forward(
    plan: Plan,
    network: int,
    packed: Numbers,
    x: Any,
    memory: Numbers,
    scratch: Numbers,
) -> int:
    """Compute a network's outputs.

    Parameters
    ----------
    plan, network
        Its layers.
    packed
        Its weights, shape (rows, 8).
    x
        Observation: int32 indices of ones, or float64 values.
    memory
        State of its LSTM, shape (2, blocks, 8): output and cell; zeros to begin with.
    scratch
        Shape (2, blocks, 8).

    Returns
    -------
    int
        Which array of `scratch` begins with the outputs.
    """
    layer = plan.layers[network, 0]
    first = layer[BIAS_ROW]
    _layer(
        packed,
        layer[ROWS],
        layer[INPUTS],
        layer[BLOCKS],
        x,
        len(x),
        packed,
        first,
        scratch[0],
    )
    last = plan.counts[network] - 1
    for number in range(last):
        into = number & 1
        _finish(plan, network, number, packed, memory, scratch[into])
        layer = plan.layers[network, number + 1]
        _layer(
            packed,
            layer[ROWS],
            layer[INPUTS],
            layer[BLOCKS],
            scratch[into].reshape(-1),
            layer[INPUTS],
            packed,
            layer[BIAS_ROW],
            scratch[1 - into],
        )
    into = last & 1
    if plan.layers[network, last, KIND] == LSTM:
        _finish(plan, network, last, packed, memory, scratch[into])
    return into


@lean_helper
def _finish(
    plan: Plan,
    network: int,
    number: int,
    packed: Numbers,
    memory: Numbers,
    sums: Numbers,
) -> None:
    """Replace the sums of a layer's inputs by its outputs."""
    layer = plan.layers[network, number]
    if layer[KIND] == LSTM:
        hidden = memory[0].reshape(-1)
        row, blocks, cells = layer[HIDDEN_ROWS], layer[BLOCKS], layer[OUTPUTS]
        _layer(packed, row, cells, blocks, hidden, cells, sums, 0, sums)
        _lstm(cells, memory, sums.reshape(-1))
        return
    _activate(plan, network, layer, sums.reshape(-1))


@lean_helper
def _activate(plan: Plan, network: int, layer: Integers, values: Numbers) -> None:
    """Replace the sums of a hidden layer by its outputs."""
    if plan.relu[network]:
        for i in range(layer[BLOCKS] * LANES):
            values[i] = max(values[i], 0.0)
    else:
        for i in range(layer[BLOCKS] * LANES):
            values[i] = _tanh(values[i])


@lean_helper
def _lstm(cells: int, memory: Numbers, gates: Numbers) -> None:
    """Update an LSTM from the sums of its gates, and put its output there."""
    output, state = memory[0].reshape(-1), memory[1].reshape(-1)
    for i in range(cells):
        opened, kept = _sigmoid(gates[i]), _sigmoid(gates[cells + i])
        state[i] = kept * state[i] + opened * _tanh(gates[2 * cells + i])
        output[i] = _sigmoid(gates[3 * cells + i]) * _tanh(state[i])
    for i in range(cells):
        gates[i] = output[i]


@inlined_helper
def _sigmoid(x: float) -> float:
    """Return the logistic function by tanh; the scaling is exact."""
    return _HALF * _tanh(_HALF * x) + _HALF


def _tanh(x: float) -> float:
    """Return the hyperbolic tangent, in the dtype of x."""
    raise NotImplementedError("compiled code only")


@overload(_tanh, strict=False, jit_options=INLINED)
def _tanh_kind(x: Any) -> Any:
    function = tanh32 if x is numba.types.float32 else tanh
    return lambda x: function(x)


# --- several inputs at once -----------------------------------------------------------


@intrinsic
def _shared_layer(
    typing_context: Any,
    packed: Any,
    row: Any,
    rows: Any,
    blocks: Any,
    x: Any,
    count: Any,
    sums: Any,
) -> Any:
    """Add a layer's rows for several inputs to numbers to start with, as `_layer` does.

    A large network does not fit into the processor's caches. Here a part of it is read
    once for all inputs. Every sum has the terms and the order of `_layer`'s.

    Parameters
    ----------
    packed
        Weights, float64 or float32 (rows, 8).
    row, rows, blocks
        The layer's first row, its inputs, and its blocks.
    x
        Shape (n, widest, 8): values, in the first numbers of each.
    count
        How many of the n there are. n is at least `count` rounded up to a multiple of
        SHARED: those between may be computed too.
    sums
        Shape (n, widest, 8): what to start with, and the sums then.
    """
    signature = numba.types.void(packed, row, rows, blocks, x, count, sums)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number_type = context.get_value_type(signature.args[0].dtype)
        row, rows, blocks, count = args[1], args[2], args[3], args[5]
        integer = row.type
        of_block = ir.VectorType(number_type, LANES)
        longest = LONGEST // context.get_abi_sizeof(number_type)

        def array(number: int) -> Any:
            kind = signature.args[number]
            return context.make_array(kind)(context, builder, args[number])

        def in_blocks(number: int) -> Any:
            return builder.bitcast(array(number).data, of_block.as_pointer())

        weights, sums, inputs = in_blocks(0), in_blocks(6), array(4).data
        widest = cgutils.unpack_tuple(builder, array(4).shape)[1]

        def constant(value: int) -> Any:
            return ir.Constant(integer, value)

        def tile(block: Any, width: int, first: Any, height: int) -> None:
            """Compute `width` blocks for `height` inputs."""
            vectors = max(width * LANES // longest, 1)
            vector = ir.VectorType(number_type, width * LANES // vectors)

            def places(start: Any) -> list[Any]:
                start = builder.bitcast(start, vector.as_pointer())
                return [builder.gep(start, [constant(i)]) for i in range(vectors)]

            begins = [
                builder.mul(builder.add(first, constant(j)), widest)
                for j in range(height)
            ]
            values = [
                builder.gep(inputs, [builder.mul(begin, constant(LANES))])
                for begin in begins
            ]
            targets = [
                place
                for begin in begins
                for place in places(builder.gep(sums, [builder.add(begin, block)]))
            ]
            totals = [cgutils.alloca_once(builder, vector) for _ in targets]
            for total, target in zip(totals, targets, strict=True):
                builder.store(builder.load(target, align=4), total)
            of_blocks = builder.add(row, builder.mul(block, rows))
            with cgutils.for_range(builder, rows) as loop:
                offset = builder.mul(loop.index, constant(width))
                here = builder.gep(weights, [builder.add(of_blocks, offset)])
                terms = [builder.load(place, align=4) for place in places(here)]
                for j in range(height):
                    value = builder.load(builder.gep(values[j], [loop.index]))
                    wide = broadcast(builder, value, vector)
                    for i in range(vectors):
                        total = totals[j * vectors + i]
                        grown = _grown(builder, builder.load(total), terms[i], wide)
                        builder.store(grown, total)
            for total, target in zip(totals, targets, strict=True):
                builder.store(builder.load(total), target, align=4)

        def all_inputs(block: Any, width: int) -> None:
            shared = constant(SHARED)
            # With two left or more, a tile; one that is left is computed alone.
            tiles = builder.sdiv(builder.add(count, constant(SHARED - 2)), shared)
            with cgutils.for_range(builder, tiles) as loop:
                tile(block, width, builder.mul(loop.index, shared), SHARED)
            left = builder.icmp_signed(">", count, builder.mul(tiles, shared))
            with builder.if_then(left):
                tile(block, width, builder.mul(tiles, shared), 1)

        group = constant(GROUP)
        with cgutils.for_range(builder, builder.sdiv(blocks, group)) as loop:
            all_inputs(builder.mul(loop.index, group), GROUP)
        rest = builder.srem(blocks, group)
        with cgutils.for_range(builder, rest) as loop:
            all_inputs(builder.add(builder.sub(blocks, rest), loop.index), 1)
        return context.get_dummy_value()

    return signature, generate


@lean_helper
def forward_together(
    plan: Plan,
    network: int,
    packed: Numbers,
    x: Any,
    agent: int,
    length: int,
    slots: Integers,
    count: int,
    memory: Numbers,
    scratch: Numbers,
) -> int:
    """Compute the outputs of a network that plays an agent in several slots.

    Parameters
    ----------
    plan, network
        Its layers.
    packed
        Its weights, shape (rows, 8).
    x
        Observations, int32 (slots, agents, longest): numbers of those that are 1.
    agent, length
        The agent, and the length of its observation.
    slots, count
        Numbers of the slots, in the first `count` places.
    memory
        States of LSTMs, shape (slots, agents, 2, blocks, 8).
    scratch
        From `shared_scratch_for`: shape (2, places, blocks, 8).

    Returns
    -------
    int
        Which array of `scratch` has the outputs, in the order of `slots`.
    """
    # What is computed beside the inputs is 0 then.
    scratch[:, count : count + -count % SHARED] = 0.0
    layer = plan.layers[network, 0]
    for j in range(count):
        _layer(
            packed,
            layer[ROWS],
            layer[INPUTS],
            layer[BLOCKS],
            x[slots[j], agent],
            length,
            packed,
            layer[BIAS_ROW],
            scratch[0, j],
        )
    last = plan.counts[network] - 1
    for number in range(last + 1):
        into = number & 1
        sums, other = scratch[into], scratch[1 - into]
        layer = plan.layers[network, number]
        if layer[KIND] == LSTM:
            _remember_together(layer, packed, slots, count, agent, memory, sums, other)
        elif number < last:
            for j in range(count):
                _activate(plan, network, layer, sums[j].reshape(-1))
        if number < last:
            layer = plan.layers[network, number + 1]
            for j in range(count):
                for block in range(layer[BLOCKS]):
                    for lane in range(LANES):
                        bias = packed[layer[BIAS_ROW] + block, lane]
                        other[j, block, lane] = bias
            inputs, blocks = layer[INPUTS], layer[BLOCKS]
            _shared_layer(packed, layer[ROWS], inputs, blocks, sums, count, other)
    return last & 1


@lean_helper
def _remember_together(
    layer: Integers,
    packed: Numbers,
    slots: Integers,
    count: int,
    agent: int,
    memory: Numbers,
    sums: Numbers,
    hidden: Numbers,
) -> None:
    """Replace the sums of LSTMs' inputs by their outputs; `hidden` is overwritten."""
    cells = layer[OUTPUTS]
    for j in range(count):
        output, copy = memory[slots[j], agent, 0].reshape(-1), hidden[j].reshape(-1)
        for i in range(cells):
            copy[i] = output[i]
    row, blocks = layer[HIDDEN_ROWS], layer[BLOCKS]
    _shared_layer(packed, row, cells, blocks, hidden, count, sums)
    for j in range(count):
        _lstm(cells, memory[slots[j], agent], sums[j].reshape(-1))


# --- functions ------------------------------------------------------------------------


# Exact in both dtypes; a product with it has the dtype of its factor.
_HALF: Any = np.float32(0.5)
_LOG2E = 1.4426950408889634
# The logarithm of 2 in two parts; the first has so few bits that products are exact.
_LN2_HIGH = 6.93145751953125e-1
_LN2_LOW = 1.42860682030941723212e-6
# Adding it leaves a number, rounded to an integer, in the last bits of the sum.
_ROUND = 6755399441055744.0
# Coefficients of exp(r) - 1 = r + r^2 (1/2! + r/3! + ...).
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13, _C14 = (
    1.0 / math.factorial(n) for n in range(2, 15)
)


@intrinsic
def _power_of_two(typing_context: Any, shifted: Any) -> Any:
    """Return 2^n for a float64 that has the integer n in its last bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(64))
        bits = builder.add(bits, ir.Constant(bits.type, 1023))
        bits = builder.shl(bits, ir.Constant(bits.type, 52))
        return builder.bitcast(bits, ir.DoubleType())

    return numba.types.float64(numba.types.float64), generate


@inlined_helper
def tanh(x: float) -> float:
    """Return the hyperbolic tangent.

    With y = 2 |x| = n ln 2 + r, exp(y) - 1 = 2^n (exp(r) - 1) + 2^n - 1, and
    tanh |x| = (exp(y) - 1) / (exp(y) + 1): within 3 units in the last place everywhere.
    It has no branches, so that loops over it run on vectors.
    """
    # Beyond 20, tanh is 1 to the last bit.
    y = min(2.0 * abs(x), 40.0)
    shifted = y * _LOG2E + _ROUND
    power = _power_of_two(shifted)
    grown = power * _rise(y, shifted - _ROUND) + (power - 1.0)
    size = grown / (grown + 2.0)
    return math.copysign(size, x)


@lean_helper
def exp(x: float) -> float:
    """Return the exponential of a number between -700 and 700, or of the nearest one.

    As in `tanh`, by arithmetic alone: within 2 units in the last place.
    """
    y = min(max(x, -700.0), 700.0)
    shifted = y * _LOG2E + _ROUND
    return _power_of_two(shifted) * (1.0 + _rise(y, shifted - _ROUND))


@inlined_helper
def _rise(y: float, n: float) -> float:
    """Return exp(r) - 1 for y = n ln 2 + r."""
    z = (y - n * _LN2_HIGH) - n * _LN2_LOW
    z2 = z * z
    z4 = z2 * z2
    low = (_C2 + z * _C3) + z2 * (_C4 + z * _C5)
    middle = (_C6 + z * _C7) + z2 * (_C8 + z * _C9)
    high = (_C10 + z * _C11) + z2 * (_C12 + z * _C13)
    series = low + z4 * (middle + z4 * (high + z4 * _C14))
    return z + z2 * series


# The same constants for float32.
_ONE, _TWO = np.float32(1.0), np.float32(2.0)
_LOG2E_32 = np.float32(_LOG2E)
_LN2_HIGH_32, _LN2_LOW_32 = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUND_32 = np.float32(12582912.0)
_D2, _D3, _D4, _D5, _D6, _D7 = (
    np.float32(1.0 / math.factorial(n)) for n in range(2, 8)
)


@intrinsic
def _power_of_two_32(typing_context: Any, shifted: Any) -> Any:
    """Return 2^n for a float32 that has the integer n in its last bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(32))
        bits = builder.add(bits, ir.Constant(bits.type, 127))
        bits = builder.shl(bits, ir.Constant(bits.type, 23))
        return builder.bitcast(bits, ir.FloatType())

    return numba.types.float32(numba.types.float32), generate


@inlined_helper
def tanh32(x: np.float32) -> np.float32:
    """Return the hyperbolic tangent of a float32 as `tanh` does, in float32.

    It is within 4 units in the last place everywhere.
    """
    # Beyond 10, tanh is 1 to the last bit.
    y = min(_TWO * abs(x), np.float32(20.0))
    shifted = y * _LOG2E_32 + _ROUND_32
    n = shifted - _ROUND_32
    z = (y - n * _LN2_HIGH_32) - n * _LN2_LOW_32
    z2 = z * z
    series = _D6 + z * _D7
    for factor in (_D5, _D4, _D3, _D2):
        series = factor + z * series
    power = _power_of_two_32(shifted)
    grown = power * (z + z2 * series) + (power - _ONE)
    size = grown / (grown + _TWO)
    return np.float32(math.copysign(size, x))
