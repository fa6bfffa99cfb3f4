import io

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from bayes_clv.errors import InputError
from bayes_clv.plots import plot_segment_comparison, plot_value_at_risk
from bayes_clv.posterior.comparison import SegmentComparison

NAMES = ["lapsed", "regulars", "new"]
BY_SHARE = ["regulars", "new", "lapsed"]


@pytest.fixture
def comparison() -> SegmentComparison:
    rng = np.random.default_rng(3)
    draws = {
        "prob_alive": rng.beta([[30], [80], [60]], [[70], [20], [40]], (3, 400)),
        "buys_again": rng.beta([[10], [70], [30]], [[90], [30], [70]], (3, 400)),
        "expected_purchases": rng.gamma(5, 0.1, (3, 400)),
    }
    return SegmentComparison(
        xr.Dataset(
            {"customers": ("segment", [12_345, 1, 800])}
            | {name: (("segment", "sample"), values) for name, values in draws.items()},
            coords={"segment": NAMES},
            attrs={"horizon": 45.0},
        ),
        level=0.8,
    )


@pytest.mark.parametrize(("panel", "measure"), [(0, "prob_alive"), (1, "buys_again")])
def test_points_and_intervals_are_those_of_the_table(comparison, panel, measure):
    ax = plot_segment_comparison(comparison)[panel]
    table = comparison.table.loc[BY_SHARE]
    (points,) = ax.lines
    (bars,) = ax.collections
    np.testing.assert_allclose(points.get_xdata(), table[measure])
    np.testing.assert_allclose(points.get_ydata(), [0, 1, 2])
    ends = np.array([segment[:, 0] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, table[[f"{measure}_lower", f"{measure}_upper"]])
    assert [text.get_text() for text in ax.texts] == [f"{mean:.0%}" for mean in table[measure]]


def test_rows_name_the_segments_and_their_customers_with_the_best_on_top(comparison):
    left, right = plot_segment_comparison(comparison)
    labels = [label.get_text() for label in left.get_yticklabels()]
    assert labels == ["regulars\n1 customer", "new\n800 customers", "lapsed\n12,345 customers"]
    for ax in (left, right):
        bottom, top = ax.get_ylim()
        assert bottom > top  # row 0 is drawn highest
        assert list(ax.get_yticks()) == [0, 1, 2]


def test_titles_name_the_measure_and_the_horizon_and_the_figure_the_level(comparison):
    left, right = plot_segment_comparison(comparison)
    assert left.get_title(loc="left") == "Mean P(alive)"
    assert right.get_title(loc="left") == "Share buying again within 45 days"
    assert "80% interval" in left.figure.get_supxlabel()


def test_both_axes_run_from_0_to_100_percent(comparison):
    for ax in plot_segment_comparison(comparison):
        ax.figure.draw_without_rendering()
        assert [label.get_text() for label in ax.get_xticklabels()] == [
            "0%",
            "25%",
            "50%",
            "75%",
            "100%",
        ]


def test_given_axes_are_drawn_on_and_returned(comparison):
    figure = Figure()
    mine = figure.subplots(2, 1)
    returned = plot_segment_comparison(comparison, list(mine))
    assert [*returned] == [*mine]
    assert figure.axes == [*mine]
    np.testing.assert_allclose(
        mine[0].lines[0].get_xdata(), comparison.table.loc[BY_SHARE, "prob_alive"]
    )


def test_one_axes_is_refused(comparison):
    with pytest.raises(InputError, match="axes must be 2, one for each panel: 1"):
        plot_segment_comparison(comparison, [Figure().subplots()])


def test_the_figure_is_drawn_without_a_window_or_global_state(comparison):
    before = dict(mpl.rcParams)
    file = io.BytesIO()
    plot_segment_comparison(comparison)[0].figure.savefig(file)
    assert file.getvalue().startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before
    pyplot = pytest.importorskip("matplotlib.pyplot")
    assert pyplot.get_fignums() == []


def test_value_and_what_is_at_risk_are_those_of_the_table(posterior_by_hand, make_customers):
    customers = make_customers(200).assign(monetary_value=20.0)
    found = posterior_by_hand(spend=True, fitted_to=customers).compare_segments()
    pair = plot_value_at_risk(found)
    table = found.table.sort_values("value_at_risk", ascending=False)
    for ax, measure in zip(pair, ("value", "value_at_risk"), strict=True):
        np.testing.assert_allclose(ax.lines[0].get_xdata(), table[measure])
        ends = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
        np.testing.assert_allclose(ends, table[[f"{measure}_lower", f"{measure}_upper"]])
    names = [label.get_text().splitlines()[0] for label in pair[0].get_yticklabels()]
    assert names == list(table.index)
    assert pair[0].get_title(loc="left") == "Value within 365 days"


def test_a_comparison_without_value_has_none_to_draw(comparison):
    with pytest.raises(InputError, match="holds no value: fit a log with amounts"):
        plot_value_at_risk(comparison)
