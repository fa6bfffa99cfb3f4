"""What a log is short of: the figures against counts by hand, each warning, and the thresholds."""

import datetime as dt
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.adequacy import (
    MAX_CORRELATION,
    MIN_BUYERS,
    MIN_GAPS,
    MIN_REPEATERS,
    MIN_SPREAD,
    FollowUp,
    LogFigures,
    measure_log,
    shortcomings,
)
from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.states import States
from bayes_clv.data.transactions import Transactions
from bayes_clv.evaluation.simulate.lives import simulate_lives
from bayes_clv.evaluation.simulate.logs import Scenario, simulate_transactions
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.inference.fitting import fit_table
from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import Parameters
from bayes_clv.posterior.draws import by_code
from bayes_clv.posterior.posterior import load_posterior
from bayes_clv.segments.estimators import KMeansSegmenter, RFMSegmenter

START = dt.date(2023, 1, 1)
CDNOW = (0.243, 4.414 * 7, 0.793, 2.426)  # Fader, Hardie & Lee 2005: r, alpha in days, a, b
FAITHFUL = (1.0, 60.0, 0.3, 6.0)
FICKLE = (0.5, 30.0, 1.0, 1.5)


def parameters(values: tuple[float, ...]) -> Parameters:
    return Parameters(*(np.array(value) for value in values))


def shop(
    customers: int = 2000,
    days: int = 365,
    *,
    values: tuple[float, ...] = FICKLE,
    acquisition_days: int | None = None,
    silent_days: int = 0,
    channel: bool = False,
) -> Transactions:
    """A simulated log; `channel` is a column of the customers' own segments."""
    end = START + dt.timedelta(days=days)
    scenario = Scenario(
        parameters(values), START, end, acquisition_days=acquisition_days, spend=None
    )
    log = simulate_transactions(scenario, customers, seed=1).log
    if channel:
        came = pd.to_datetime(log.groupby("customer_id")["date"].transform("min"))
        late = came > pd.Timestamp(end - dt.timedelta(days=days // 5))
        log["channel"] = np.where(late, "app", np.where(log["customer_id"] % 2 == 0, "web", "shop"))
    return read_transactions(
        log,
        segment="channel" if channel else None,
        end=(end + dt.timedelta(days=silent_days)).isoformat(),
    )


def figures(log: Transactions, estimator: HierarchicalBetaGeo) -> LogFigures:
    data = estimator.prepare(log)
    return measure_log(data.states, data.landmarks, data.rule.names)


# The figures


def test_the_figures_are_those_counted_customer_by_customer() -> None:
    log = load_cdnow(sample=True)
    data = HierarchicalBetaGeo(KMeansSegmenter(5), landmarks=4).prepare(log)
    found = measure_log(data.states, data.landmarks, data.rule.names)
    days = {
        customer: sorted({date.date() for date in pd.to_datetime(dates)})
        for customer, dates in log.table.to_pandas().groupby("customer_id")["date"]
    }
    amounts = log.table.to_pandas().groupby(["customer_id", "date"])["amount"].sum()

    def state(customer: int, landmark: dt.date) -> tuple[int, int, int, float]:
        bought = [day for day in days[customer] if day <= landmark]
        spend = [float(amounts[customer, pd.Timestamp(day)]) for day in bought[1:]]
        mean = float(np.mean(spend)) if spend else 0.0
        recency = (bought[-1] - bought[0]).days
        return len(bought) - 1, recency, (landmark - bought[0]).days, mean

    buying, repeats = 0.0, 0
    for customer in days:
        frequency, recency, T, _ = state(customer, log.end)
        repeats += frequency
        if frequency:
            buying += recency + min(T - recency, recency / frequency)
    assert found.customers == len(days) == 2357
    assert found.repeaters == sum(len(bought) > 1 for bought in days.values())
    assert found.purchases == sum(map(len, days.values()))
    assert found.days == (log.end - log.start).days
    assert found.gap == pytest.approx(buying / repeats, rel=1e-12)
    assert found.silence == (log.end - max(bought[-1] for bought in days.values())).days
    assert found.landmarks == 4

    names = data.rule.names
    counted = {name: [0, 0, 0] for name in names}
    for landmark, following in [*pairwise(data.landmarks), (log.end, None)]:
        there = [customer for customer in days if days[customer][0] <= landmark]
        known = pd.DataFrame(
            [state(customer, landmark) for customer in there],
            columns=["frequency", "recency", "T", "monetary_value"],
        )
        codes = data.rule.assign(States.from_frame(known))
        for customer, code, T, frequency in zip(
            there, codes, known["T"], known["frequency"], strict=True
        ):
            if following is None:
                counted[names[code]][0] += 1
            elif T > 0:
                counted[names[code]][1] += 1
                counted[names[code]][2] += state(customer, following)[0] > frequency
    assert {
        one.segment: [one.customers, one.followed, one.bought] for one in found.segments
    } == counted


@pytest.mark.parametrize(
    ("first_days", "expected"),
    [
        ([0] * 10, 1),
        ([0, *range(50, 59)], 9),  # nine of ten within nine days
        ([*range(9), 90], 9),
        ([0, 10, 20, 30, 40, 50, 60, 70, 80, 90], 81),
        ([5, 5, 5, 300], 296),  # nine in ten of four are all
    ],
)
def test_the_arrival_is_the_fewest_days_in_a_row_that_hold_nine_in_ten(
    first_days: list[int], expected: float
) -> None:
    rows = [(f"c{i}", START + dt.timedelta(days=day)) for i, day in enumerate(first_days)]
    rows += [("c0", START + dt.timedelta(days=day)) for day in (first_days[0] + 400, 420)]
    log = read_transactions(pd.DataFrame(rows, columns=["customer", "date"]))
    assert figures(log, HierarchicalBetaGeo(segmenter=None)).arrival == expected


# The warnings


SOUND = LogFigures(
    customers=1000,
    repeaters=MIN_REPEATERS,
    purchases=3000,
    days=300.0,
    gap=300.0 / MIN_GAPS,
    arrival=300.0 * MIN_SPREAD,
    silence=300.0 * MIN_SPREAD,
    landmarks=4,
    pearson=0.1,
    spearman=MAX_CORRELATION,
    segments=(FollowUp("loyal", 600, 900, 400), FollowUp("lost", 400, 700, MIN_BUYERS)),
)


def with_segment(segment: FollowUp) -> LogFigures:
    return replace(SOUND, segments=(*SOUND.segments, segment))


def test_at_every_threshold_there_is_nothing_to_say() -> None:
    assert shortcomings(SOUND) == ()


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (replace(SOUND, repeaters=99), "only 99 of 1,000 customers bought on a second day, fewer"),
        (replace(SOUND, gap=101.0), "the log covers 300 days, 3.0 times the mean gap of 101 days"),
        (replace(SOUND, arrival=14.0), "first bought within 14 of 300 days, less than 5%"),
        (
            replace(SOUND, silence=16.0),
            "nobody bought in the last 16 of 300 days, more than 5%, al",
        ),
        (
            replace(SOUND, spearman=0.301),
            "who buy more often spend more per purchase (rank correlat",
        ),
        (
            replace(SOUND, spearman=-0.5),
            "spend less per purchase (rank correlation -0.50, beyond ±0",
        ),
        (replace(SOUND, landmarks=1), "at 1 landmark only, fewer than 2"),
        (
            with_segment(FollowUp("new", 5, 0, 0)),
            '0 customers were observed after assignment to "new", fewer than 1',
        ),
        (
            with_segment(FollowUp("at\nrisk", 5, 70, 29)),
            'few customers bought after assignment to "at risk" (29 of 70), fewer than 30',
        ),
    ],
)
def test_below_a_threshold_one_line_names_the_figure_and_the_threshold(
    evidence: LogFigures, words: str
) -> None:
    (line,) = shortcomings(evidence)
    assert words in line
    assert ": " in line, "what it means"
    assert "; " in line, "what to do"
    assert "\n" not in line
    assert len(line) < 240


def test_segments_that_nobody_is_in_and_logs_without_segments_are_not_warned_about() -> None:
    assert shortcomings(with_segment(FollowUp("new", 0, 0, 0))) == ()
    assert shortcomings(replace(SOUND, segments=(FollowUp("all", 9, 0, 0),), landmarks=1)) == ()


def test_a_silence_that_chance_may_bring_is_not_warned_about() -> None:
    few = replace(SOUND, silence=30.0, purchases=199)
    assert shortcomings(few) == ()
    assert len(shortcomings(replace(few, purchases=200))) == 1


def test_many_thin_segments_make_one_line_that_counts_the_rest() -> None:
    thin = tuple(FollowUp(f"segment {i}" * 20, 9, 9, 9) for i in range(400))
    (line,) = shortcomings(replace(SOUND, segments=thin))
    assert "and 395 more, fewer than 30" in line
    assert len(line) < 500


def warned(log: Transactions, estimator: HierarchicalBetaGeo | None = None) -> tuple[str, ...]:
    return shortcomings(figures(log, estimator or HierarchicalBetaGeo(segmenter=None)))


def test_cdnow_and_an_ordinary_shop_are_short_of_nothing() -> None:
    by_kmeans = HierarchicalBetaGeo(KMeansSegmenter(5))
    assert warned(load_cdnow(), by_kmeans) == ()
    assert warned(load_cdnow(sample=True), by_kmeans) == ()
    published = load_cdnow(sample=True).table.to_pandas()
    calibration = read_transactions(published, end="1997-09-30", keep_zero_amounts=True)
    assert warned(calibration) == ()
    assert warned(shop(), by_kmeans) == ()


def test_of_eleven_rfm_segments_cdnow_fills_all_but_one_that_hardly_anybody_was_in_before() -> None:
    (line,) = warned(load_cdnow(), HierarchicalBetaGeo(RFMSegmenter()))
    assert line.startswith(
        'few customers bought after assignment to "cannot lose them" (25 of 129), fewer than 30:'
    )


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({"customers": 100}, "customers bought on a second day, fewer than 100"),
        ({"days": 25, "values": FAITHFUL, "customers": 3000}, "customers who left and slow buy"),
        ({"acquisition_days": 7}, "first bought within 7 of 365 days"),
        ({"silent_days": 40}, "nobody bought in the last 40 of 405 days"),
    ],
)
def test_each_kind_of_log_that_is_short_of_something_is_told_so_and_nothing_else(
    log: dict[str, object], words: str
) -> None:
    (line,) = warned(shop(**log))  # type: ignore[arg-type]
    assert words in line


def test_segments_at_one_landmark_know_only_the_population() -> None:
    (line,) = warned(shop(), HierarchicalBetaGeo(KMeansSegmenter(3), landmarks=1))
    assert "nothing distinguishes the 3 segments from the population" in line


def test_a_segment_without_a_later_history_and_one_without_later_buyers_are_named() -> None:
    # Nobody came by the app before the last landmark but one.
    own = HierarchicalBetaGeo(segmenter="column", landmarks=2)
    (line,) = warned(shop(channel=True), own)
    assert line.startswith('0 customers were observed after assignment to "app", fewer than 1')
    (line,) = warned(shop(), HierarchicalBetaGeo(RFMSegmenter()))
    assert line.startswith('few customers bought after assignment to "at risk" (')


def test_a_fit_keeps_its_warnings_in_the_record_and_the_model_file(tmp_path) -> None:
    log = shop(120)
    estimator = HierarchicalBetaGeo(KMeansSegmenter(2), landmarks=1)
    posterior = estimator.fit(log, draws=50, tune=50, chains=2)
    assert posterior.record.warnings == warned(log, estimator)
    assert len(posterior.record.warnings) == 2
    posterior.save(tmp_path / "model.clv")
    assert load_posterior(tmp_path / "model.clv").record.warnings == posterior.record.warnings


# The thresholds


def width_of_churn(values: tuple[float, ...], repeaters: int, days: float) -> float:
    """Width of the 90 % interval of the mean P(alive) of those who came back: a mean of 4 shops."""
    return float(np.mean([_width(parameters(values), repeaters, days, seed) for seed in range(4)]))


def _width(truth: Parameters, repeaters: int, days: float, seed: int) -> float:
    rng = np.random.default_rng([seed, repeaters, int(days)])
    probe = simulate_lives(truth, days * rng.random(4000), rng=rng)
    n = round(repeaters / np.mean(probe.frequency > 0))
    lives = simulate_lives(truth, days * rng.random(n), rng=rng)
    x, recency, T = lives.frequency.astype(float), lives.recency, lives.T
    table = LandmarkTable(np.full(n, -1), x, recency, T, np.ones(n))
    fitted = fit_table(table, ("all customers",), SamplerSettings(500, 200, 2, seed))
    draws = by_code(fitted.tree)[-1, :, np.newaxis]
    back = x > 0
    alive = bgnbd.probability_alive(draws, x[back], recency[back], T[back]).mean(axis=1)
    lower, upper = np.quantile(alive, (0.05, 0.95))
    return float(upper - lower)


@pytest.mark.long
@pytest.mark.parametrize("values", [CDNOW, FAITHFUL, FICKLE], ids=["cdnow", "faithful", "fickle"])
def test_below_the_thresholds_nobody_knows_how_many_have_left_and_above_them_one_does(
    values: tuple[float, ...],
) -> None:
    assert width_of_churn(values, MIN_REPEATERS // 5, 365) > 0.2
    assert width_of_churn(values, MIN_REPEATERS * 2, 365) < 0.15
    assert width_of_churn(values, 300, 10) > 0.2  # days, a little more than two gaps
    assert width_of_churn(values, 300, 180) < 0.2  # four to five gaps
