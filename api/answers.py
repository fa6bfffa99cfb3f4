"""Schemas of the answers, used to build and to document them."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from bayes_clv.posterior.posterior import Posterior


class Answer(BaseModel):
    """Base of all answers: fields that are not documented are forbidden."""

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
    """The model that gave the answer."""

    version: str = Field(description="the first digits of the hash of the model's draws")
    model: str = Field(description="BG/NBD or MBG/NBD")
    dropout: Literal["after_repeat", "after_any"] = Field(
        description="the purchases after which a customer may leave: repeat purchases (BG/NBD) "
        "or any purchase (MBG/NBD)"
    )
    data_end: str = Field(description="the last day of the data, as YYYY-MM-DD")

    @classmethod
    def of(cls, posterior: Posterior) -> Self:
        """Return the name of a posterior's model."""
        return cls(
            version=posterior.version,
            model=posterior.dropout.model_name,
            dropout=posterior.dropout.value,
            data_end=posterior.record.end.isoformat(),
        )


class Prediction(Answer):
    """The predictions for one customer."""

    customer_id: str | int | None = Field(description="the id that was sent")
    segment: str = Field(description="the segment whose parameters were used")
    prob_alive: Probability = Field(
        description="the probability that the customer has not left; with BG/NBD it is 1 for every "
        "customer who bought once, for whom prob_purchase tells more"
    )
    prob_purchase: Probability = Field(
        description="the probability of at least one purchase within the horizon"
    )
    expected_purchases: Expectation = Field(
        description="the expected number of purchases within the horizon; the interval is that of "
        "the expectation, not of the number of purchases"
    )

    expected_spend: Expectation | None = Field(
        description="the expected spend per purchase, in the currency of the log; null if the "
        "model was fitted without spend"
    )
    expected_value: Expectation | None = Field(
        description="the expected value of the purchases within the horizon of value_terms; null "
        "if the request had no value, or the model was fitted without spend"
    )


class ValueTerms(Answer):
    """The terms of customer value: horizon, discount rate and margin."""

    horizon_days: float
    annual_discount_rate: float
    margin: float


class Predictions(Answer):
    """The predictions for a batch of customers, in the order in which they were sent."""

    model: ModelName
    horizon_days: float
    level: float = Field(description="the mass of the intervals")
    value_terms: ValueTerms | None = Field(description="the terms of expected_value")
    predictions: list[Prediction]


class SegmentRow(Answer):
    """One segment: means over its customers, with the bounds of their credible intervals."""

    segment: str
    customers: int
    prob_alive: float
    prob_alive_lower: float
    prob_alive_upper: float
    buys_again: float = Field(
        description="the expected share of customers who buy within the horizon"
    )
    buys_again_lower: float
    buys_again_upper: float
    expected_purchases: float = Field(
        description="the expected number of purchases per customer within the horizon"
    )
    expected_purchases_lower: float
    expected_purchases_upper: float
    value: float | None = Field(
        default=None,
        description="the expected value of all of the segment's customers, on value_terms; null if "
        "the model was fitted without spend",
    )
    value_lower: float | None = None
    value_upper: float | None = None
    value_at_risk: float | None = Field(
        default=None,
        description="the expected value of these customers if all of them were alive, minus value",
    )
    value_at_risk_lower: float | None = None
    value_at_risk_upper: float | None = None


type Matrix = dict[str, dict[str, float]]


class Comparison(Answer):
    """The comparison of churn between segments, with its uncertainty."""

    model: ModelName
    horizon_days: float
    level: float = Field(description="the mass of the intervals")
    value_terms: ValueTerms | None = Field(description="the terms of value")
    segments: list[SegmentRow]
    churns_more: Matrix = Field(
        description="by segment, then by another segment: the probability that the first has the "
        "lower mean probability of being alive"
    )
    buys_less: Matrix = Field(
        description="by segment, then by another segment: the probability that the first has the "
        "lower share of customers who buy again"
    )


class Diagnostics(Answer):
    """The sampler's worst figures over all variables; null if a figure cannot be computed."""

    r_hat: float | None
    ess_bulk: float | None
    ess_tail: float | None
    divergences: int
    e_bfmi: float | None
    complaints: list[str] = Field(description="the rules that are broken, in words")
    remarks: list[str] = Field(
        description="findings that do not make the posterior unsound, in words"
    )
    sound: bool = Field(description="whether the posterior can be trusted")


class Model(Answer):
    """The model: its version, segments, diagnostics, and the data and settings of its fit."""

    version: str
    dropout: Literal["after_repeat", "after_any"]
    segments: list[str]
    reactivation: Probability | None = Field(
        description="the probability that a customer starts afresh between two landmarks, whatever "
        "the silence; null if the model has no reactivation"
    )
    diagnostics: Diagnostics
    record: dict[str, object] = Field(
        description="the log, the days it covers, rows kept and rejected by reason, landmarks, "
        "priors, sampler settings and library versions"
    )


class Alive(Answer):
    """The process is running."""

    alive: Literal[True]


class Ready(Answer):
    """A model is loaded and has just answered a test question."""

    version: str
    dropout: Literal["after_repeat", "after_any"]
    data_end: str
    sound: bool
    newer_file_refused: bool = Field(
        description="whether the model's file was replaced by one that was refused; the previous "
        "model then stays in use, and the server's log gives the reason"
    )


class Interval(Answer):
    """A credible interval, as decimal text."""

    level: str
    lower: str
    upper: str


class Purchase(Answer):
    """The probability of buying within a horizon, as decimal text."""

    horizon_days: str
    mean: str
    lower: str
    upper: str


class Alone(Answer):
    """The answer about one customer, as decimal text like in the first version of this service."""

    prob_alive: str
    credible_interval: Interval
    segment: str
    prob_purchase: Purchase
    dropout: Literal["after_repeat", "after_any"]


class Success[T](BaseModel):
    """The envelope of a successful answer."""

    code: Literal[200]
    status: Literal["success"]
    data: T


class Refusal(Answer):
    """The envelope of a refusal: the HTTP status, its name, and the reason."""

    code: int
    message: str
    reason: str


class InvalidRequest(Answer):
    """The first thousand characters of a refused body."""

    sent: str = Field(alias="INVALID REQUEST")


class UnscoredRequest(Answer):
    """The envelope of a customer that cannot be scored."""

    code: Literal[503]
    message: InvalidRequest | str
    reason: str
