r"""The landmark log-likelihood with its gradient, fused into one pass: a PyTensor Op over Numba.

In the symbols of :mod:`bayes_clv.bgnbd`, for rows of weight w in group s (the population or a
segment), and with L(t) = ln(α_s + t),

    Σ w ll = Σ_s W_s [r ln α − ln Γ(r) − ln B(a, b)]                          per group
           + Σ_(s,x) W_sx [ln Γ(r+x) + ln B(a, b+n)]                          per distinct (s, x)
           − Σ_(s,T) (r W_sT + X_sT) L(T),   X_sT = Σ w x                     per distinct (s, T)
           + Σ_rows, n>0 w softplus(u),  u = ln a/(b+n−1) + (r+x)(L(T) − L(t_x))

so a row costs one exponential, logarithms of times are taken once for each distinct time, and
one-time buyers of BG/NBD cost nothing at all. Rows of one (s, x) and one weight stand together and
are worked off in blocks: gather their times, do the arithmetic in vector instructions, take the
logarithm of the product of all 1 + e^−|u|, scatter the gradient. :mod:`bayes_clv.likelihood` holds
the plain form that this is tested against.
"""

import itertools
import math
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key

from bayes_clv.bgnbd import Dropout
from bayes_clv.elementary import (
    compiled,
    compiled_sums,
    exp_non_positive,
    log_gamma_and_digamma,
    log_positive,
)
from bayes_clv.landmarks import LandmarkTable

type Tensor = Any  # a PyTensor variable: its own type hints know no arithmetic
type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]
type Indices = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Layout:
    """The landmark table, arranged for the kernel; groups count from 0, the population's.

    Attributes
    ----------
    time_unit
        Days that the unit of ``time`` stands for.
    group_weight
        ``(group,)`` W_s.
    key_group, key_x, key_n, key_weight
        ``(key,)`` the distinct (s, x), n, and W_sx.
    time_group, time, time_weight, time_x
        ``(time,)`` the distinct (s, t) over both T and t_x, W_sT and X_sT.
    block_key, block_weight
        ``(block,)`` index into keys, and w, that the rows of a block share.
    block_start
        ``(block + 1,)`` where the rows of each block start, and where the last ones end.
    row_T, row_recency
        ``(row,)`` indices into times of the rows with n > 0, block by block.
    """

    time_unit: float
    group_weight: Floats
    key_group: Ints
    key_x: Floats
    key_n: Floats
    key_weight: Floats
    time_group: Ints
    time: Floats
    time_weight: Floats
    time_x: Floats
    block_key: Ints
    block_weight: Floats
    block_start: Ints
    row_T: Indices
    row_recency: Indices

    @property
    def n_groups(self) -> int:
        """The population and the segments with parameters of their own: 1 in a pooled model."""
        return len(self.group_weight)

    @property
    def n_segments(self) -> int:
        """Segments with parameters of their own; 0 in a pooled model."""
        return self.n_groups - 1

    @property
    def arrays(self) -> tuple[Any, ...]:
        """All of them, in the order of the kernel's arguments."""
        return tuple(getattr(self, field.name) for field in fields(self)[1:])

    @classmethod
    def of(cls, table: LandmarkTable, n_segments: int, time_unit: float, dropout: Dropout) -> Self:
        """Arrange a table; times are divided by ``time_unit``.

        With fewer than two segments everybody is the population, whatever code a row carries.
        """
        x, weight = table.frequency, table.weight
        pooled = n_segments < 2
        group = np.zeros(len(table), dtype=np.int64) if pooled else table.segment + 1
        key_group, key_x, row_key = _distinct(group, x)
        days = np.concatenate([table.T, table.recency])
        time_group, time, row_time = _distinct(np.tile(group, 2), days)
        row_T, row_recency = np.split(row_time, 2)
        key_n = dropout.chances(key_x)
        rows = _in_order(row_key, weight, np.flatnonzero(key_n[row_key] > 0))
        starts = _block_starts(row_key[rows], weight[rows])
        return cls(
            time_unit=time_unit,
            group_weight=np.bincount(group, weight, minlength=1 if pooled else n_segments + 1),
            key_group=key_group,
            key_x=key_x,
            key_n=key_n,
            key_weight=np.bincount(row_key, weight),
            time_group=time_group,
            time=time / time_unit,
            time_weight=np.bincount(row_T, weight, minlength=len(time)),
            time_x=np.bincount(row_T, weight * x, minlength=len(time)),
            block_key=row_key[rows][starts],
            block_weight=weight[rows][starts],
            block_start=np.append(starts, len(rows)),
            row_T=row_T[rows].astype(np.int32),
            row_recency=row_recency[rows].astype(np.int32),
        )


def _distinct(group: Ints, value: Floats) -> tuple[Ints, Floats, Ints]:
    """Distinct (group, value), sorted, and each row's index into them."""
    values, index = np.unique(value, return_inverse=True)
    pairs, row = np.unique(group * len(values) + index, return_inverse=True)
    return pairs // len(values), values[pairs % len(values)], row


def _in_order(row_key: Ints, weight: Floats, rows: Ints) -> Ints:
    """Order rows by key and weight, and at random within: neighbours that add to one sum wait."""
    rows = np.random.default_rng(0).permutation(rows)
    return rows[np.lexsort([weight[rows], row_key[rows]])]


def _block_starts(row_key: Ints, weight: Floats) -> Ints:
    """Start a block where key or weight changes, and every ``_BLOCK`` rows."""
    changes = np.flatnonzero((np.diff(row_key) != 0) | (np.diff(weight) != 0)) + 1
    runs = np.concatenate([[0], changes, [len(row_key)]])
    starts = [np.arange(first, last, _BLOCK) for first, last in itertools.pairwise(runs)]
    return np.concatenate(starts).astype(np.int64)


class LandmarkLogLikelihood(Op):  # type: ignore[misc]
    """(r, α, a, b, *layout) → (log-likelihood, its gradient by r, α, a and b).

    The parameters are vectors ``(group,)`` and the gradient comes out beside the value, so that a
    sampler that asks for both, as NUTS does, pays once.
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        """Take four parameter vectors and the arrays of a ``Layout``."""
        inputs = tuple(pt.as_tensor_variable(value) for value in inputs)
        return Apply(self, list(inputs), [pt.dscalar(), *(pt.dvector() for _ in range(4))])

    def perform(self, node: Apply, inputs: list[Any], outputs: list[list[Any]]) -> None:
        """Evaluate outside Numba, for samplers that compile otherwise."""
        for storage, value in zip(outputs, value_and_gradient(*inputs), strict=True):
            storage[0] = np.asarray(value)

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the value is differentiable, and only by the parameters."""
        return [[index < 4, False, False, False, False] for index in range(len(node.inputs))]

    def pullback(
        self, inputs: list[Tensor], outputs: list[Tensor], cotangents: list[Tensor]
    ) -> list[Tensor]:
        """Scale the gradient that is computed anyway."""
        gradient = [cotangents[0] * slope for slope in outputs[1:]]
        return [*gradient, *(disconnected_type() for _ in inputs[4:])]


def fused_log_likelihood(
    parameters: tuple[Tensor, Tensor, Tensor, Tensor], layout: Layout
) -> Tensor:
    """Return the log-likelihood, a scalar, of r, α, a, b ``(group,)``."""
    return LandmarkLogLikelihood()(*parameters, *layout.arrays)[0]


def value_and_slope(eta: Floats, layout: Layout) -> tuple[float, Floats]:
    """Log-likelihood and its gradient by η, both of ``eta (group, component)``.

    The components are those of :mod:`bayes_clv.priors`.
    """
    value, slope = eta_value_and_slope(eta, layout.arrays)
    return value, slope


@register_funcify_default_op_cache_key(LandmarkLogLikelihood)  # type: ignore[untyped-decorator]
def _numba_funcify(op: LandmarkLogLikelihood, node: Apply, **kwargs: Any) -> tuple[Any, int]:
    return value_and_gradient, _KERNEL_VERSION


_KERNEL_VERSION = 3  # raise it when the kernel changes: compiled models are cached on disk


_BLOCK = 512  # rows: intermediate results stay in the nearest cache, products below 2^1024


@compiled
def value_and_gradient(
    r: Floats,
    alpha: Floats,
    a: Floats,
    b: Floats,
    group_weight: Floats,
    key_group: Ints,
    key_x: Floats,
    key_n: Floats,
    key_weight: Floats,
    time_group: Ints,
    time: Floats,
    time_weight: Floats,
    time_x: Floats,
    block_key: Ints,
    block_weight: Floats,
    block_start: Ints,
    row_T: Indices,
    row_recency: Indices,
) -> tuple[Any, Floats, Floats, Floats, Floats]:
    """Log-likelihood and its gradient by r, α, a and b ``(group,)``, of the arrays of a layout."""
    value = 0.0
    by_r, by_alpha = np.zeros_like(r), np.zeros_like(r)
    by_a, by_b = np.zeros_like(r), np.zeros_like(r)

    log_gamma_a, psi_a = np.empty_like(r), np.empty_like(r)
    for s in range(len(r)):
        w = group_weight[s]
        log_gamma_r, psi_r = log_gamma_and_digamma(r[s])
        log_gamma_a[s], psi_a[s] = log_gamma_and_digamma(a[s])
        log_gamma_b, psi_b = log_gamma_and_digamma(b[s])
        log_gamma_ab, psi_ab = log_gamma_and_digamma(a[s] + b[s])
        log_alpha = math.log(alpha[s])
        value += w * (r[s] * log_alpha - log_gamma_r - log_gamma_a[s] - log_gamma_b + log_gamma_ab)
        by_r[s] += w * (log_alpha - psi_r)
        by_alpha[s] += w * r[s] / alpha[s]
        by_a[s] += w * (psi_ab - psi_a[s])
        by_b[s] += w * (psi_ab - psi_b)

    for k in range(len(key_x)):
        s, w = key_group[k], key_weight[k]
        if w != 0.0:
            log_gamma_shape, psi_shape = log_gamma_and_digamma(r[s] + key_x[k])
            log_gamma_after, psi_after = log_gamma_and_digamma(b[s] + key_n[k])
            log_gamma_both, psi_both = log_gamma_and_digamma(a[s] + b[s] + key_n[k])
            value += w * (log_gamma_shape + log_gamma_a[s] + log_gamma_after - log_gamma_both)
            by_r[s] += w * psi_shape
            by_a[s] += w * (psi_a[s] - psi_both)
            by_b[s] += w * (psi_after - psi_both)

    log_time, by_log_time = np.empty_like(time), np.empty_like(time)
    for k in range(len(time)):
        log_time[k] = log_positive(alpha[time_group[k]] + time[k])
    for k in range(len(time)):
        s = time_group[k]
        by_log_time[k] = -(r[s] * time_weight[k] + time_x[k])
        value += by_log_time[k] * log_time[k]
        by_r[s] -= time_weight[k] * log_time[k]

    silence, gone = np.empty(_BLOCK), np.empty(_BLOCK)  # L(T) − L(t_x);  P(not alive)
    for j in range(len(block_key)):
        k, w = block_key[j], block_weight[j]
        s = key_group[k]
        shape, earlier_chances = r[s] + key_x[k], b[s] + (key_n[k] - 1.0)
        block = slice(block_start[j], block_start[j + 1])
        at_T, at_last = row_T[block], row_recency[block]
        for i in range(len(at_T)):
            silence[i] = log_time[at_T[i]] - log_time[at_last[i]]
        log_odds = math.log(a[s] / earlier_chances)
        softplus, any_gone, by_shape = _leaving(log_odds, shape, silence, gone, len(at_T))
        value += w * softplus
        by_r[s] += w * by_shape
        by_a[s] += w * any_gone / a[s]
        by_b[s] -= w * any_gone / earlier_chances
        for i in range(len(at_T)):
            by_log_time[at_T[i]] += gone[i] * (w * shape)
            by_log_time[at_last[i]] -= gone[i] * (w * shape)

    for k in range(len(time)):
        s = time_group[k]
        by_alpha[s] += by_log_time[k] / (alpha[s] + time[k])
    return np.asarray(value), by_r, by_alpha, by_a, by_b


@compiled_sums
def _leaving(
    log_odds: float, shape: float, silence: Floats, gone: Floats, n: int
) -> tuple[float, float, float]:
    """Sums over ``n ≤ _BLOCK`` rows of softplus(u), sigmoid(u), and sigmoid(u) · silence.

    u = log_odds + shape · silence; each row's sigmoid(u) is left in ``gone``.
    """
    positive, product, any_gone, by_shape = 0.0, 1.0, 0.0, 0.0
    for i in range(n):
        u = log_odds + shape * silence[i]
        tail = exp_non_positive(-abs(u))
        positive += max(u, 0.0)
        product *= 1.0 + tail  # at most 2^_BLOCK, which is a float
        gone[i] = (1.0 if u >= 0 else tail) / (1.0 + tail)
        any_gone += gone[i]
        by_shape += gone[i] * silence[i]
    return positive + math.log(product), any_gone, by_shape


@compiled
def eta_value_and_slope(eta, layout):  # type: ignore[no-untyped-def]
    """``value_and_slope`` of the arrays of a layout, for compiled callers."""
    r, alpha, a, b = parameters_of(eta)
    value, by_r, by_alpha, by_a, by_b = value_and_gradient(r, alpha, a, b, *layout)
    share = a / (a + b)
    slope = np.empty_like(eta)
    slope[:, 0] = -alpha * by_alpha
    slope[:, 1] = r * by_r + alpha * by_alpha
    slope[:, 2] = a * (1 - share) * by_a - b * share * by_b
    slope[:, 3] = a * by_a + b * by_b
    return value.item(), slope


@compiled
def parameters_of(eta: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Turn η ``(group, component)`` into r, α, a, b; durations in units of the mean T."""
    rate, shape, dropout, concentration = eta[:, 0], eta[:, 1], eta[:, 2], eta[:, 3]
    total = np.exp(concentration)
    a, b = total / (1 + np.exp(-dropout)), total / (1 + np.exp(dropout))
    return np.exp(shape), np.exp(shape - rate), a, b
