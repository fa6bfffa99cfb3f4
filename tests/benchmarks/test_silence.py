"""What the benchmark of silence computes from customers and curves."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.silence import like, total_rise


def test_a_rise_counts_from_the_smallest_value_until_then() -> None:
    assert total_rise(np.array([0.5, 0.2, 0.3, 0.1, 0.15])) == pytest.approx(0.1)
    assert total_rise(np.array([0.5, 0.2, 0.1])) == 0


def test_customers_alike_are_counted_by_their_silence() -> None:
    customers = pd.DataFrame(
        [
            (3, 100.0, 110.0, 20.0, 0.4, True),
            (4, 120.0, 140.0, 25.0, 0.2, False),
            (3, 100.0, 200.0, 20.0, 0.1, True),
            (9, 100.0, 110.0, 20.0, 0.9, True),  # other orders
            (3, 300.0, 310.0, 20.0, 0.9, True),  # other days
            (3, 100.0, 110.0, 80.0, 0.9, True),  # spends more
        ],
        columns=["frequency", "recency", "T", "monetary_value", "forecast", "bought"],
    )
    rows = like(customers, 3, 100.0, "middle", (20.0, 50.0, 90.0))
    assert [(row["silence"], row["customers"]) for row in rows] == [
        ("0–29", 2),
        ("30–59", 0),
        ("60–119", 1),
        ("120+", 0),
    ]
    assert rows[0]["observed"] == 0.5
    assert rows[0]["forecast"] == pytest.approx(0.3)
    assert rows[1]["observed"] is None
    (first, *_) = like(customers, 3, 100.0, "high", (20.0, 50.0, 90.0))
    assert (first["customers"], first["forecast"]) == (1, 0.9)
