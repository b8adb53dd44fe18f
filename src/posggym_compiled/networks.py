"""Forward passes of small networks: linear, multi-layer perceptron, or with an LSTM.

A network's parameters are one vector in the order of PyTorch's `parameters_to_vector`:
layer by layer the weights by rows, then the bias; for an LSTM the weights of the input,
those of the hidden state (gates in the order input, forget, cell, output), then one
bias. `pack` puts them, transposed, into blocks of 8 outputs: a layer adds rows, one for
each input. An observation that is one-hot adds only the rows of its ones.

Sums run over the inputs in their order, so results do not depend on the width of the
processor's vectors, and `tanh` is computed here rather than by the system's C library:
the bits of a network's outputs are the same on every machine.
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
from numba.extending import intrinsic

from posggym_compiled.interface import Integers
from posggym_compiled.jit import lean_helper, lean_kernel

Vector = npt.NDArray[np.float64]

ACTIVATIONS = "tanh", "relu"

# Columns of a layer's description: what it is, its inputs and outputs (for an LSTM
# cells), where its parameters begin in the vector, and its rows of blocks: those of the
# inputs, of the hidden state, and of the bias; blocks of a row.
KIND, INPUTS, OUTPUTS, SOURCE, ROWS, HIDDEN_ROWS, BIAS_ROW, BLOCKS = range(8)
LINEAR, LSTM = range(2)
LANES = 8
# Arrays of scratch memory of a forward pass: two layers' outputs, and three of `tanh`.
SCRATCH = 5


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


def packed_weights(plan: Plan) -> Vector:
    """Return room for the weights of a plan's networks, (networks, rows, 8)."""
    rows = (plan.layers[:, :, BIAS_ROW] + plan.layers[:, :, BLOCKS]).max()
    return np.zeros((len(plan.layers), rows, LANES))


def memory_for(plan: Plan, *leading: int) -> Vector:
    """Return room for LSTM states, shape (*leading, 2, blocks, 8)."""
    return np.zeros((*leading, 2, plan.layers[:, :, BLOCKS].max(), LANES))


def scratch_for(plan: Plan) -> Vector:
    """Return scratch memory for `forward`, shape (5, blocks, 8)."""
    return np.zeros((SCRATCH, plan.layers[:, :, BLOCKS].max(), LANES))


# --- packing --------------------------------------------------------------------------


@lean_kernel
def pack(
    plan: Plan,
    network: int,
    parameters: Vector,
    mean: Vector,
    stdev: Vector,
    packed: Vector,
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
    packed: Vector,
    row: int,
    blocks: int,
) -> None:
    for o in range(outputs):
        block, lane = o // LANES, o % LANES
        for i in range(inputs):
            packed[row + i * blocks + block, lane] = parameters[source + o * inputs + i]


@lean_helper
def _fold(packed: Vector, layer: Integers, mean: Vector, stdev: Vector) -> None:
    for block in range(layer[BLOCKS]):
        for i in range(layer[INPUTS]):
            row = layer[ROWS] + i * layer[BLOCKS] + block
            for lane in range(LANES):
                packed[row, lane] /= stdev[i]
                packed[layer[BIAS_ROW] + block, lane] -= packed[row, lane] * mean[i]


# --- forward ------------------------------------------------------------------------


@intrinsic
def _add_rows(
    typing_context: Any,
    packed: Any,
    row: Any,
    blocks: Any,
    x: Any,
    count: Any,
    out: Any,
) -> Any:
    """Add a layer's rows for inputs to sums.

    Written in LLVM's vectors of 8 numbers, because Numba's optimiser does not turn sums
    in registers into vectors. Processors without such vectors compute the same in
    parts.

    Parameters
    ----------
    packed
        Weights, float64 (rows, 8).
    row, blocks
        The layer's first row, and its blocks.
    x, count
        The inputs and their number: int32 numbers of those that are 1, all others being
        0; or float64 values.
    out
        float64 (blocks, 8): sums, added to in the order of the inputs.
    """
    signature = numba.types.void(packed, row, blocks, x, count, out)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        arrays = [
            context.make_array(kinds[i])(context, builder, args[i]) for i in (0, 3, 5)
        ]
        weights, inputs, sums = (array.data for array in arrays)
        row, blocks, count = args[1], args[2], args[4]
        one_hot = isinstance(kinds[3].dtype, numba.types.Integer)
        vector = ir.VectorType(ir.DoubleType(), LANES)
        weights = builder.bitcast(weights, vector.as_pointer())
        sums = builder.bitcast(sums, vector.as_pointer())
        total = cgutils.alloca_once(builder, vector)
        with cgutils.for_range(builder, blocks) as block:
            target = builder.gep(sums, [block.index])
            builder.store(builder.load(target, align=8), total)
            with cgutils.for_range(builder, count) as loop:
                value = builder.load(builder.gep(inputs, [loop.index]))
                number = builder.sext(value, row.type) if one_hot else loop.index
                place = builder.add(row, builder.mul(number, blocks))
                place = builder.gep(weights, [builder.add(place, block.index)])
                term = builder.load(place, align=8)
                if not one_hot:
                    term = builder.fmul(term, _broadcast(builder, value, vector))
                builder.store(builder.fadd(builder.load(total), term), total)
            builder.store(builder.load(total), target, align=8)
        return context.get_dummy_value()

    return signature, generate


def _broadcast(builder: Any, value: Any, vector: Any) -> Any:
    """Return a vector of equal numbers."""
    first = ir.Constant(ir.IntType(32), 0)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, first)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(single, single, zeros)


@lean_helper
def forward(
    plan: Plan,
    network: int,
    packed: Vector,
    x: Any,
    memory: Vector,
    scratch: Vector,
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
        Shape (5, blocks, 8).

    Returns
    -------
    int
        Which array of `scratch` begins with the outputs.
    """
    last = plan.counts[network] - 1
    into = 0
    for number in range(last + 1):
        layer = plan.layers[network, number]
        blocks = layer[BLOCKS]
        out = scratch[into]
        for block in range(blocks):
            bias = packed[layer[BIAS_ROW] + block]
            for lane in range(LANES):
                out[block, lane] = bias[lane]
        if number == 0:
            _add_rows(packed, layer[ROWS], blocks, x, len(x), out)
        else:
            before = scratch[1 - into].reshape(-1)
            _add_rows(packed, layer[ROWS], blocks, before, layer[INPUTS], out)
        if layer[KIND] == LSTM:
            hidden = memory[0].reshape(-1)
            _add_rows(packed, layer[HIDDEN_ROWS], blocks, hidden, layer[OUTPUTS], out)
            _lstm(layer[OUTPUTS], memory, scratch, into)
        elif number < last:
            width = blocks * LANES
            if plan.relu[network]:
                values = out.reshape(-1)
                for i in range(width):
                    values[i] = max(values[i], 0.0)
            else:
                tanh(scratch, into, width)
        into = 1 - into
    return 1 - into


@lean_helper
def _lstm(cells: int, memory: Vector, scratch: Vector, into: int) -> None:
    """Update an LSTM from the sums in `scratch[into]`, and put its output there."""
    gates = scratch[into].reshape(-1)
    output, state = memory[0].reshape(-1), memory[1].reshape(-1)
    # The sigmoid by tanh; its scaling is exact.
    for i in range(4 * cells):
        if not 2 * cells <= i < 3 * cells:
            gates[i] *= 0.5
    tanh(scratch, into, 4 * cells)
    for i in range(cells):
        opened = 0.5 * gates[i] + 0.5
        kept = 0.5 * gates[cells + i] + 0.5
        state[i] = kept * state[i] + opened * gates[2 * cells + i]
        # Nobody needs the input gate any more: room for the state's tanh.
        output[i] = 0.5 * gates[3 * cells + i] + 0.5
        gates[i] = state[i]
    tanh(scratch, into, cells)
    for i in range(cells):
        output[i] *= gates[i]
        gates[i] = output[i]


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


@lean_helper
def tanh(scratch: Vector, which: int, count: int) -> None:
    """Replace numbers of `scratch[which]` by their hyperbolic tangents.

    With y = 2 |x| = n ln 2 + r, exp(y) - 1 = 2^n (exp(r) - 1) + 2^n - 1, and
    tanh |x| = (exp(y) - 1) / (exp(y) + 1): within 3 units in the last place everywhere.
    All loops are branchless, so they run on vectors.
    """
    x = scratch[which].reshape(-1)
    n = scratch[2].reshape(-1)
    r = scratch[3].reshape(-1)
    power = scratch[4].reshape(-1)
    bits = power.view(np.int64)
    for i in range(count):
        # Beyond 20, tanh is 1 to the last bit.
        y = min(2.0 * abs(x[i]), 40.0)
        shifted = y * _LOG2E + _ROUND
        power[i] = shifted
        n[i] = shifted - _ROUND
        r[i] = (y - n[i] * _LN2_HIGH) - n[i] * _LN2_LOW
    for i in range(count):
        bits[i] = (bits[i] + 1023) << 52
    for i in range(count):
        z = r[i]
        z2 = z * z
        z4 = z2 * z2
        low = (_C2 + z * _C3) + z2 * (_C4 + z * _C5)
        middle = (_C6 + z * _C7) + z2 * (_C8 + z * _C9)
        high = (_C10 + z * _C11) + z2 * (_C12 + z * _C13)
        series = low + z4 * (middle + z4 * (high + z4 * _C14))
        grown = power[i] * (z + z2 * series) + (power[i] - 1.0)
        size = grown / (grown + 2.0)
        x[i] = -size if x[i] < 0.0 else size


@lean_helper
def exp(x: float) -> float:
    """Return the exponential of a number between -700 and 700, or of the nearest one.

    As in `tanh`, by arithmetic alone: within 2 units in the last place.
    """
    y = min(max(x, -700.0), 700.0)
    n = (y * _LOG2E + _ROUND) - _ROUND
    z = (y - n * _LN2_HIGH) - n * _LN2_LOW
    z2 = z * z
    z4 = z2 * z2
    low = (_C2 + z * _C3) + z2 * (_C4 + z * _C5)
    middle = (_C6 + z * _C7) + z2 * (_C8 + z * _C9)
    high = (_C10 + z * _C11) + z2 * (_C12 + z * _C13)
    series = low + z4 * (middle + z4 * (high + z4 * _C14))
    # Exact: only the exponent changes.
    return math.ldexp(1.0 + (z + z2 * series), int(n))
