r"""The landmark log-likelihood with its gradient, fused into one pass: a PyTensor Op over Numba.

In the symbols of :mod:`bayes_clv.bgnbd`, for rows of weight w in group s (the population or a
segment), and with L(t) = ln(α_s + t),

    Σ w ll = Σ_s W_s [r ln α − ln Γ(r) − ln B(a, b)]                          per group
           + Σ_(s,x) W_sx [ln Γ(r+x) + ln B(a, b+n)]                          per distinct (s, x)
           − Σ_(s,T) (r W_sT + X_sT) L(T),   X_sT = Σ w x                     per distinct (s, T)
           + Σ_rows, n>0 w softplus(u),  u = ln a/(b+n−1) + (r+x)(L(T) − L(t_x))

so a row costs one exponential and one logarithm, logarithms of times are taken once for each
distinct time, and one-time buyers of BG/NBD cost nothing at all. :mod:`bayes_clv.likelihood` holds
the plain form that this is tested against.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, Self

import numba
import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key

from bayes_clv.bgnbd import Dropout
from bayes_clv.landmarks import LandmarkTable

type Tensor = Any  # a PyTensor variable: its own type hints know no arithmetic
type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layout:
    """The landmark table, arranged for the kernel; groups count from 0, the population's.

    Attributes
    ----------
    group_weight
        ``(group,)`` W_s.
    key_group, key_x, key_n, key_weight
        ``(key,)`` the distinct (s, x), n, and W_sx.
    time_group, time, time_weight, time_x
        ``(time,)`` the distinct (s, t) over both T and t_x, W_sT and X_sT.
    row_key, row_T, row_recency, row_weight
        ``(row,)`` indices into keys and times, and w, of the rows with n > 0.
    """

    group_weight: Floats
    key_group: Ints
    key_x: Floats
    key_n: Floats
    key_weight: Floats
    time_group: Ints
    time: Floats
    time_weight: Floats
    time_x: Floats
    row_key: Ints
    row_T: Ints
    row_recency: Ints
    row_weight: Floats

    @classmethod
    def of(cls, table: LandmarkTable, n_segments: int, time_unit: float, dropout: Dropout) -> Self:
        """Arrange a table; times are divided by ``time_unit``."""
        group, x, weight = table.segment + 1, table.frequency, table.weight
        T, recency = table.T / time_unit, table.recency / time_unit
        keys, row_key = np.unique(np.column_stack([group, x]), axis=0, return_inverse=True)
        times, row_time = np.unique(
            np.column_stack([np.tile(group, 2), np.concatenate([T, recency])]),
            axis=0,
            return_inverse=True,
        )
        row_T, row_recency = np.split(row_time.ravel(), 2)
        rows = dropout.chances(x) > 0
        return cls(
            group_weight=np.bincount(group, weight, minlength=n_segments + 1),
            key_group=keys[:, 0].astype(np.int64),
            key_x=np.ascontiguousarray(keys[:, 1]),
            key_n=dropout.chances(keys[:, 1]),
            key_weight=np.bincount(row_key.ravel(), weight),
            time_group=times[:, 0].astype(np.int64),
            time=np.ascontiguousarray(times[:, 1]),
            time_weight=np.bincount(row_T, weight, minlength=len(times)),
            time_x=np.bincount(row_T, weight * x, minlength=len(times)),
            row_key=row_key.ravel()[rows],
            row_T=row_T[rows],
            row_recency=row_recency[rows],
            row_weight=weight[rows],
        )


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
        for storage, value in zip(outputs, _value_and_gradient(*inputs), strict=True):
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
    data = (getattr(layout, field.name) for field in fields(layout))
    return LandmarkLogLikelihood()(*parameters, *data)[0]


def log_likelihood_and_gradient(
    r: Floats, alpha: Floats, a: Floats, b: Floats, layout: Layout
) -> tuple[float, Floats, Floats, Floats, Floats]:
    """Return the value and its gradient by r, α, a and b, each ``(group,)``, outside PyTensor."""
    data = (getattr(layout, field.name) for field in fields(layout))
    value, *gradient = _value_and_gradient(r, alpha, a, b, *data)
    by_r, by_alpha, by_a, by_b = gradient
    return float(value), by_r, by_alpha, by_a, by_b


@register_funcify_default_op_cache_key(LandmarkLogLikelihood)  # type: ignore[untyped-decorator]
def _numba_funcify(op: LandmarkLogLikelihood, node: Apply, **kwargs: Any) -> tuple[Any, int]:
    return _value_and_gradient, _KERNEL_VERSION


_KERNEL_VERSION = 1  # raise it when the kernel changes: compiled models are cached on disk


@numba.njit(error_model="numpy", cache=True)
def _digamma(x: float) -> float:
    """ψ(x) for x > 0: recurrence up to 10, then the asymptotic series (error below 1e-15)."""
    shift = 0.0
    while x < 10.0:
        shift -= 1.0 / x
        x += 1.0
    f = 1.0 / (x * x)
    series = f * (
        1 / 12
        - f * (1 / 120 - f * (1 / 252 - f * (1 / 240 - f * (1 / 132 - f * (691 / 32760 - f / 12)))))
    )
    return shift + math.log(x) - 0.5 / x - series


@numba.njit(error_model="numpy", cache=True)
def _value_and_gradient(
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
    row_key: Ints,
    row_T: Ints,
    row_recency: Ints,
    row_weight: Floats,
) -> tuple[Any, Floats, Floats, Floats, Floats]:
    value = 0.0
    by_r, by_alpha = np.zeros_like(r), np.zeros_like(r)
    by_a, by_b = np.zeros_like(r), np.zeros_like(r)

    for s in range(len(r)):
        w = group_weight[s]
        value += w * (
            r[s] * math.log(alpha[s])
            - math.lgamma(r[s])
            - math.lgamma(a[s])
            - math.lgamma(b[s])
            + math.lgamma(a[s] + b[s])
        )
        psi_ab = _digamma(a[s] + b[s])
        by_r[s] += w * (math.log(alpha[s]) - _digamma(r[s]))
        by_alpha[s] += w * r[s] / alpha[s]
        by_a[s] += w * (psi_ab - _digamma(a[s]))
        by_b[s] += w * (psi_ab - _digamma(b[s]))

    log_odds = np.empty_like(key_x)
    for k in range(len(key_x)):
        s, n, w = key_group[k], key_n[k], key_weight[k]
        shape, after, both = r[s] + key_x[k], b[s] + n, a[s] + b[s] + n
        log_odds[k] = math.log(a[s] / (b[s] + (n - 1.0))) if n > 0 else 0.0
        if w != 0.0:
            value += w * (
                math.lgamma(shape) + math.lgamma(a[s]) + math.lgamma(after) - math.lgamma(both)
            )
            psi_both = _digamma(both)
            by_r[s] += w * _digamma(shape)
            by_a[s] += w * (_digamma(a[s]) - psi_both)
            by_b[s] += w * (_digamma(after) - psi_both)

    log_time = np.empty_like(time)
    by_log_time = np.empty_like(time)
    for k in range(len(time)):
        s = time_group[k]
        log_time[k] = math.log(alpha[s] + time[k])
        by_log_time[k] = -(r[s] * time_weight[k] + time_x[k])
        value += by_log_time[k] * log_time[k]
        by_r[s] -= time_weight[k] * log_time[k]

    by_log_odds = np.zeros_like(key_x)
    for i in range(len(row_weight)):
        key, at_T, at_last, w = row_key[i], row_T[i], row_recency[i], row_weight[i]
        s = key_group[key]
        shape = r[s] + key_x[key]
        silence = log_time[at_T] - log_time[at_last]
        u = log_odds[key] + shape * silence
        tail = math.exp(-abs(u))
        value += w * (max(u, 0.0) + math.log(1.0 + tail))
        gone = w * ((1.0 if u >= 0 else tail) / (1.0 + tail))  # w · P(not alive)
        by_r[s] += gone * silence
        by_log_time[at_T] += gone * shape
        by_log_time[at_last] -= gone * shape
        by_log_odds[key] += gone

    for k in range(len(time)):
        s = time_group[k]
        by_alpha[s] += by_log_time[k] / (alpha[s] + time[k])
    for k in range(len(key_x)):
        s = key_group[k]
        if key_n[k] > 0:
            by_a[s] += by_log_odds[k] / a[s]
            by_b[s] -= by_log_odds[k] / (b[s] + (key_n[k] - 1.0))
    return np.asarray(value), by_r, by_alpha, by_a, by_b
