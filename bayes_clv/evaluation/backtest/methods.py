"""The methods that a backtest compares: ways to pool parameters across customers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bayes_clv import arguments
from bayes_clv.inference.options import (
    DropoutRule,
    Segmentation,
    settled_dropout,
    settled_segmenter,
    settled_switch,
)
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.segments.estimators import FEATURES, KMeansSegmenter, RFMSegmenter


@dataclass(frozen=True)
class Method:
    """A way to pool parameters across customers, or a mixture of such ways.

    Attributes
    ----------
    name
        Name to show.
    segmenter
        None pools all customers; as for ``HierarchicalBetaGeo``.
    landmarks
        Number of landmarks, spread evenly over the past.
    dropout
        BG/NBD or MBG/NBD, or ``"auto"``: what the past speaks for.
    own_past
        Whether to fit each segment to the same histories that define it: a baseline that uses the
        data twice and is wrong.
    reactivation, soft_fit
        As for ``HierarchicalBetaGeo``.
    options
        Options of ``bayes-clv fit`` for the same model; empty if ``fit`` does not offer it.
    bases
        Methods whose forecasts are mixed, with weights learnt on an inner split of the past: see
        :mod:`bayes_clv.evaluation.backtest.stacking`. The other attributes then mean nothing.
    """

    name: str
    segmenter: Segmentation = None
    landmarks: int = 1
    dropout: DropoutRule = Dropout.AFTER_REPEAT
    own_past: bool = False
    reactivation: bool | None = None
    soft_fit: bool | None = None
    options: str = ""
    bases: tuple["Method", ...] = ()

    def __post_init__(self) -> None:
        settled = {
            "segmenter": settled_segmenter(self.segmenter),
            "landmarks": arguments.whole("landmarks", self.landmarks, least=1),
            "dropout": settled_dropout(self.dropout),
            "own_past": arguments.flag("own_past", self.own_past),
            "reactivation": settled_switch("reactivation", self.reactivation),
            "soft_fit": settled_switch("soft_fit", self.soft_fit),
            "bases": arguments.instances("bases", self.bases, Method) if self.bases else (),
        }
        for text in ("name", "options"):
            arguments.instance(text, getattr(self, text), str, "text")
        for name, value in settled.items():
            object.__setattr__(self, name, value)


POOLED = Method("pooled", options="--segments none --dropout after_repeat")
STACKED = "stacked"  # name of the mixture


def default_methods(
    n_segments: Sequence[int] = (3, 5, 8), landmarks: Sequence[int] = (4,)
) -> tuple[Method, ...]:
    """Return the methods that the command line compares.

    Segments are soft, with reactivation, as ``fit`` makes them; "RFM, hard" shows what both are
    worth, and "RFM, no return" what reactivation is. The last one mixes those that are there with
    both dropout rules.

    Parameters
    ----------
    n_segments
        Numbers of KMeans segments; the middle one is also used in the other KMeans methods.
    landmarks
        Numbers of landmarks, each used with every segmentation; the mixture has the first.
    """
    n_segments = arguments.wholes("n_segments", n_segments, least=1)
    landmarks = arguments.wholes("landmarks", landmarks, least=1)
    arguments.require(bool(n_segments), "n_segments must hold at least one number; got none")
    middle = sorted(n_segments)[len(n_segments) // 2]
    mbg = Dropout.AFTER_ANY
    methods = [
        POOLED,
        replace(POOLED, name=f"pooled{_MBG}", dropout=mbg, options=_options("none", dropout=mbg)),
        Method(
            f"KMeans {middle}, own past", KMeansSegmenter(middle, bandwidth=None), 1, own_past=True
        ),
        Method("RFM, own past", RFMSegmenter(bandwidth=None), 1, own_past=True),
    ]
    for m in landmarks:
        several = f" × {m}" if len(landmarks) > 1 else ""
        rfm, hard = _options("rfm", m), RFMSegmenter(bandwidth=None)
        methods += [
            Method(f"RFM{several}", RFMSegmenter(), m, options=rfm),
            Method(f"RFM{several}, hard", hard, m, options=f"{rfm} --hard"),
            Method(
                f"RFM{several}, no return",
                RFMSegmenter(),
                m,
                reactivation=False,
                options=f"{rfm} --no-reactivation",
            ),
        ]
        methods += [
            Method(f"KMeans {k}{several}", KMeansSegmenter(k), m, options=_options("kmeans", m, k))
            for k in n_segments
        ]
        methods += [
            Method(
                f"KMeans {middle}{several}, {' + '.join(map(_short, features))}",
                KMeansSegmenter(middle, features=features),
                m,
                options=_options("kmeans", m, middle, features),
            )
            for features in (FEATURES[:2], FEATURES[:1])
        ]
        methods += [
            Method(
                f"{name}{several}{_MBG}",
                segmenter,
                m,
                mbg,
                options=_options(kind, m, k, dropout=mbg),
            )
            for name, segmenter, kind, k in (
                ("RFM", RFMSegmenter(), "rfm", None),
                (f"KMeans {middle}", KMeansSegmenter(middle), "kmeans", middle),
            )
        ]
    both = [it for it in methods if it.dropout is mbg]
    names = {it.name for it in both} | {it.name.removesuffix(_MBG) for it in both}
    bases = tuple(it for it in methods if it.name in names and it.landmarks in (1, landmarks[0]))
    return (*methods, Method(STACKED, bases=bases))


_MBG = ", MBG/NBD"


def _short(feature: str) -> str:
    return {"idle_time": "idle", "monetary_value": "spend"}.get(feature, feature)


def _options(
    segments: str,
    landmarks: int | None = None,
    n_segments: int | None = None,
    features: tuple[str, ...] | None = None,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> str:
    given = {
        "segments": segments,
        "n-segments": n_segments,
        "features": features and ",".join(features),
        "landmarks": landmarks,
        "dropout": dropout.value,
    }
    return " ".join(f"--{name} {value}" for name, value in given.items() if value is not None)
