"""The schemas of answers: they give the answers their shape, and document it."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from bayes_clv.posterior.posterior import Posterior


class Answer(BaseModel):
    """Base of all answers: they hold documented fields only."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Probability(Answer):
    """A probability: posterior mean and equal-tailed credible interval."""

    mean: float = Field(ge=0, le=1)
    lower: float = Field(ge=0, le=1)
    upper: float = Field(ge=0, le=1)


class Expectation(Answer):
    """An expected number: posterior mean and equal-tailed credible interval."""

    mean: float = Field(ge=0)
    lower: float = Field(ge=0)
    upper: float = Field(ge=0)


class ModelName(Answer):
    """The model that answers."""

    version: str = Field(description="the first digits of the hash of the model's draws")
    model: str = Field(description="BG/NBD or MBG/NBD")
    dropout: Literal["after_repeat", "after_any"] = Field(
        description="the purchases after which a customer may leave"
    )
    data_end: str = Field(description="the day up to which the data reach, as YYYY-MM-DD")

    @classmethod
    def of(cls, posterior: Posterior) -> Self:
        """Name a posterior."""
        return cls(
            version=posterior.version,
            model=posterior.dropout.model_name,
            dropout=posterior.dropout.value,
            data_end=posterior.record.end.isoformat(),
        )


class Prediction(Answer):
    """The predictions for one customer."""

    customer_id: str | int | None = Field(description="as sent")
    segment: str = Field(description="the segment whose parameters answer")
    prob_alive: Probability = Field(
        description="the probability that the customer has not left; with BG/NBD it is 1 for "
        "everybody who bought once: read prob_purchase"
    )
    prob_purchase: Probability = Field(
        description="the probability of at least one purchase within the horizon"
    )
    expected_purchases: Expectation = Field(
        description="the expected number of purchases within the horizon; the interval is that of "
        "the expectation, not of the number itself"
    )

    expected_spend: Expectation | None = Field(
        description="what a purchase is expected to cost, in the currency of the log; null where "
        "the model has no spend"
    )
    expected_value: Expectation | None = Field(
        description="the expected value of the purchases ahead, on the terms asked for; null where "
        "none were, or the model has no spend"
    )


class ValueTerms(Answer):
    """The terms of customer lifetime value."""

    horizon_days: float
    annual_discount_rate: float
    margin: float


class Predictions(Answer):
    """A batch, in the order in which it was sent."""

    model: ModelName
    horizon_days: float
    level: float = Field(description="the mass of the intervals")
    value_terms: ValueTerms | None = Field(description="the terms of expected_value")
    predictions: list[Prediction]


class SegmentRow(Answer):
    """A segment: means over its customers, with the ends of their credible intervals."""

    segment: str
    customers: int
    prob_alive: float
    prob_alive_lower: float
    prob_alive_upper: float
    buys_again: float = Field(description="the share who buy within the horizon")
    buys_again_lower: float
    buys_again_upper: float
    expected_purchases: float = Field(description="purchases each within the horizon")
    expected_purchases_lower: float
    expected_purchases_upper: float
    value: float | None = Field(
        default=None,
        description="what all of the segment's customers are expected to be worth, on the terms; "
        "null where the model has no spend",
    )
    value_lower: float | None = None
    value_upper: float | None = None
    value_at_risk: float | None = Field(
        default=None,
        description="what they would be worth if all of them were alive, less value",
    )
    value_at_risk_lower: float | None = None
    value_at_risk_upper: float | None = None


type Matrix = dict[str, dict[str, float]]


class Comparison(Answer):
    """Which segments are leaving, and how sure that is."""

    model: ModelName
    horizon_days: float
    level: float = Field(description="the mass of the intervals")
    value_terms: ValueTerms | None = Field(description="the terms of value")
    segments: list[SegmentRow]
    churns_more: Matrix = Field(
        description="by segment, then by another: the probability that the first has the lower "
        "mean probability of being alive"
    )
    buys_less: Matrix = Field(
        description="by segment, then by another: the probability that a smaller share of the "
        "first buys again"
    )


class Diagnostics(Answer):
    """The worst diagnostics over all variables; null where one cannot be computed."""

    r_hat: float | None
    ess_bulk: float | None
    ess_tail: float | None
    divergences: int
    e_bfmi: float | None
    complaints: list[str] = Field(description="the rules that are broken, in words")
    remarks: list[str] = Field(
        description="what is worth knowing of a posterior that can be trusted all the same"
    )
    sound: bool = Field(description="whether the posterior can be trusted")


class Model(Answer):
    """What the model is, where it comes from, and whether it can be trusted."""

    version: str
    dropout: Literal["after_repeat", "after_any"]
    segments: list[str]
    diagnostics: Diagnostics
    record: dict[str, object] = Field(
        description="the log, the days it covers, the rows kept and rejected by reason, landmarks, "
        "priors, the sampler's settings and the versions of the libraries"
    )


class Alive(Answer):
    """The process runs."""

    alive: Literal[True]


class Ready(Answer):
    """There is a model, and it answers."""

    version: str
    dropout: Literal["after_repeat", "after_any"]
    data_end: str
    sound: bool
    newer_file_refused: bool = Field(
        description="whether the model's file was replaced by one that was refused; the server's "
        "log says why, and the model before it answers"
    )


class Interval(Answer):
    """An interval in decimal text."""

    level: str
    lower: str
    upper: str


class Purchase(Answer):
    """The probability of buying within a horizon, in decimal text."""

    horizon_days: str
    mean: str
    lower: str
    upper: str


class Alone(Answer):
    """One customer's answer, in decimal text as the first version of this service gave it."""

    prob_alive: str
    credible_interval: Interval
    segment: str
    prob_purchase: Purchase
    dropout: Literal["after_repeat", "after_any"]


class Success[T](BaseModel):
    """The envelope of an answer."""

    code: Literal[200]
    status: Literal["success"]
    data: T


class Refusal(Answer):
    """The envelope of a refusal: the HTTP status, its name, and what is wrong."""

    code: int
    message: str
    reason: str


class InvalidRequest(Answer):
    """The refused body, its first thousand characters."""

    sent: str = Field(alias="INVALID REQUEST")


class UnscoredRequest(Answer):
    """The envelope of a customer that cannot be scored."""

    code: Literal[503]
    message: InvalidRequest | str
    reason: str
