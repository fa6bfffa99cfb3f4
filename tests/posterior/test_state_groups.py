"""Distinct states, and the parts that they are answered in."""

import numpy as np

from bayes_clv.data.states import States
from bayes_clv.posterior.state_groups import (
    MAX_BLOCK,
    MAX_CASES,
    Assigned,
    distinct_cases,
    each_group,
    groups_of,
)


def random_states(n: int) -> tuple[np.ndarray, States]:
    rng = np.random.default_rng(n)
    frequency, recency, T = rng.integers(0, [[3], [4], [9]], size=(3, n)).astype(float)
    return rng.integers(-1, 3, size=n), States(frequency, recency, T + 4, np.full(n, np.nan))


def test_distinct_states_are_sorted_and_found_again_by_each_customer() -> None:
    codes, states = random_states(2_000)
    index, distinct = distinct_cases(states, Assigned(codes))
    rows = np.column_stack([states.frequency, states.T, states.recency, codes])
    want, where = np.unique(rows, axis=0, return_inverse=True)
    codes = distinct.memberships.codes
    got = np.column_stack([distinct.frequency, distinct.T, distinct.recency, codes])
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(index, where.ravel())


def test_parts_cover_the_distinct_states_and_share_a_frequency() -> None:
    n = MAX_CASES + 700
    T = np.arange(n, dtype=float)
    states = States(np.where(T < 200, 1.0, 2.0), T / 2, T, np.full(n, np.nan))
    _, distinct = distinct_cases(states, Assigned(np.where(T < 90, 0, 1)))
    parts = groups_of(distinct)
    assert [len(part.T) for part in parts] == [200, MAX_CASES, 500]
    blocks = [block for part in parts for block in part.blocks()]
    assert max(len(block.T) for block in blocks) == MAX_BLOCK
    for pieces in (parts, blocks):
        rows = np.concatenate([np.arange(n)[piece.rows] for piece in pieces])
        np.testing.assert_array_equal(rows, np.arange(n))
        for piece in pieces:
            codes = distinct.memberships.codes[piece.rows]
            np.testing.assert_array_equal(codes, piece.memberships.codes)
            assert (distinct.frequency[piece.rows] == piece.frequency).all()
            np.testing.assert_array_equal(distinct.T[piece.rows], piece.T)
            np.testing.assert_array_equal(distinct.recency[piece.rows], piece.recency)


def test_nobody_has_no_states() -> None:
    nobody = States(*np.empty((4, 0)))
    index, distinct = distinct_cases(nobody, Assigned(np.empty(0, dtype=np.int64)))
    assert len(index) == len(distinct) == 0
    assert list(each_group(len, distinct)) == []
