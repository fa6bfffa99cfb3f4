"""Schemas of the requests, and the one-line message that lists all faults of a request.

A field's description states its rule. Refusals quote it, and the OpenAPI document and the
documentation page show it.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.config import JsonDict
from pydantic_core import ErrorDetails, PydanticCustomError

from api.words import named, shown
from bayes_clv.errors import InputError
from bayes_clv.posterior.discounting import ANNUAL_DISCOUNT_RATE, MARGIN, VALUE_HORIZON
from bayes_clv.posterior.posterior import COMPARISON_HORIZON
from bayes_clv.posterior.segment_names import segment_named

LIMIT = 1e9  # purchases or days; more than any customer has, and far from overflow
MONEY_LIMIT = 1e15
MAX_CUSTOMERS = 1_000  # in one batch
MAX_ID = 100  # characters
HORIZON = COMPARISON_HORIZON  # days; the default of requests
_MAX_RATE = 100.0
_MAX_FAULTS = 12
_MAX_NAMES = 20


def _whole(value: float) -> float:
    if not value.is_integer():
        raise ValueError
    return value


Level = Annotated[float, Field(gt=0, lt=1, description="a number above 0 and below 1")]

_ID_SCHEMA: JsonDict = {
    "anyOf": [
        {"type": "string", "maxLength": MAX_ID},
        {"type": "integer", "minimum": 1 - 2**53, "maximum": 2**53 - 1},
        {"type": "null"},
    ]
}
_ONE: JsonDict = {"frequency": 30, "recency": 100, "T": 215}
_SEVERAL: JsonDict = {
    "customers": [
        {"customer_id": "A-1001", **_ONE},
        {"customer_id": "A-1002", "frequency": 2, "recency": 31.5, "T": 60, "monetary_value": 42.5},
        {"customer_id": "A-1003", "frequency": 0, "recency": 0, "T": 60},
    ],
    "horizon_days": 90,
    "level": 0.9,
    "value": {"horizon_days": 365, "annual_discount_rate": 0.1, "margin": 1},
}


def _identifier(value: object) -> object:
    """Return a text or whole number as sent; a float such as 12504.0 becomes an integer."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is str:
        value.encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError
        ok = len(value) <= MAX_ID
    else:
        ok = value is None or (type(value) is int and abs(value) < 2**53)
    if not ok:
        raise ValueError
    return value


class Request(BaseModel):
    """Base of all requests: values are not converted, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def read(cls, fields: object, segments: Collection[str] = ()) -> Self:
        """Check the fields of a request.

        Parameters
        ----------
        fields
            The decoded body or query.
        segments
            Names that a customer's segment may have.

        Raises
        ------
        InputError
            If a field is invalid; one line names every invalid field, its rule and its value.
        """
        try:
            return cls.model_validate(fields, context=segments)
        except ValidationError as error:
            raise InputError(_line(error)) from None


class State(Request):
    """One customer's state."""

    frequency: Annotated[
        float,
        AfterValidator(_whole),
        WithJsonSchema({"type": "integer", "minimum": 0, "maximum": int(LIMIT)}),
    ] = Field(ge=0, le=LIMIT, description=f"a whole number from 0 to {LIMIT:,.0f}")
    recency: float = Field(
        ge=0, le=LIMIT, description=f"a number of days from 0 to {LIMIT:,.0f}, at most T"
    )
    T: float = Field(ge=0, le=LIMIT, description=f"a number of days from 0 to {LIMIT:,.0f}")
    monetary_value: float | None = Field(
        default=None, ge=0, le=MONEY_LIMIT, description=f"a number from 0 to {MONEY_LIMIT:,.0f}"
    )
    segment: str | None = Field(default=None, description="the name of a segment of the model")

    @field_validator("recency")
    @classmethod
    def _zero_without_repeats(cls, recency: float, info: ValidationInfo) -> float:
        if info.data.get("frequency") == 0 and recency > 0:
            raise PydanticCustomError("rule", "must be 0 where frequency is 0")
        return recency

    @field_validator("T")
    @classmethod
    def _not_before_the_last_purchase(cls, T: float, info: ValidationInfo) -> float:
        recency = info.data.get("recency")
        if recency is not None and recency > T:
            rule = "must be at least recency ({recency})"
            raise PydanticCustomError("rule", rule, {"recency": recency})
        return T

    @field_validator("segment", mode="before")
    @classmethod
    def _known(cls, segment: object, info: ValidationInfo) -> object:
        """Return the model's name of a segment; a number may stand for one: 1 for "1"."""
        known: Collection[str] = info.context or ()
        if not isinstance(segment, str | float | int):
            return segment
        name = segment_named(segment, known)
        if name is None and isinstance(segment, str):
            names = ", ".join([*known][:_MAX_NAMES]) + ", …" * (len(known) > _MAX_NAMES)
            raise PydanticCustomError("rule", "must be one of {names}", {"names": names})
        return segment if name is None else name


class Customer(State):
    """The body of ``POST /predict``: a customer, and the mass of the intervals."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ONE]})

    level: Level = 0.9


class BatchCustomer(State):
    """One customer of a batch."""

    customer_id: Annotated[
        str | int | None, PlainValidator(_identifier), WithJsonSchema(_ID_SCHEMA)
    ] = Field(
        default=None,
        description=f"text of at most {MAX_ID} characters, or a whole number below 2^53",
    )


class ValueTerms(Request):
    """The terms of customer value: horizon, discount rate and margin."""

    horizon_days: float = Field(
        default=VALUE_HORIZON,
        gt=0,
        le=LIMIT,
        description=f"a number of days above 0, at most {LIMIT:,.0f}",
    )
    annual_discount_rate: float = Field(
        default=ANNUAL_DISCOUNT_RATE,
        ge=0,
        le=_MAX_RATE,
        description=f"a number from 0 to {_MAX_RATE:g}, the discount rate per year",
    )
    margin: float = Field(
        default=MARGIN,
        gt=0,
        le=_MAX_RATE,
        description=f"a number above 0, at most {_MAX_RATE:g}, the profit per unit of spend",
    )


class Batch(Request):
    """The body of ``POST /v1/predictions``."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SEVERAL]})

    customers: list[BatchCustomer] = Field(
        min_length=1,
        max_length=MAX_CUSTOMERS,
        description=f"a list of 1 to {MAX_CUSTOMERS:,} customers",
    )
    horizon_days: float = Field(
        default=HORIZON,
        gt=0,
        le=LIMIT,
        description=f"a number of days above 0, at most {LIMIT:,.0f}",
    )
    level: Level = 0.9
    value: ValueTerms | None = Field(
        default=None,
        description="an object with the terms of expected_value; without it, expected_value is "
        "null. To compute it takes about four times as long as everything else",
    )


class ComparisonQuery(Request):
    """The query of ``GET /v1/segments``."""

    model_config = ConfigDict(strict=False)

    level: Level = 0.9


def _line(error: ValidationError) -> str:
    faults = [_fault(detail) for detail in error.errors(include_url=False)]
    more = len(faults) - _MAX_FAULTS
    return "; ".join(faults[:_MAX_FAULTS] + [f"and {more:,} more"] * (more > 0))


def _fault(detail: ErrorDetails) -> str:
    name = _path(detail["loc"])
    match detail["type"]:
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            return f"{name} is not a field"
        case "rule":
            rule: Any = detail["msg"]
        case _:
            rule = f"must be {_rule(detail['loc'])}"
    where = f"{name} " if name else "the body "
    return f"{where}{rule}, not {shown(detail['input'])}"


def _path(place: tuple[int | str, ...]) -> str:
    """Write ("customers", 3, "T") as customers[3].T."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{named(part)}" for part in place)
    return "".join(parts).removeprefix(".")


def _rule(place: tuple[int | str, ...]) -> str:
    """Return the description of the field at a place, or "an object" for a list item or body."""
    last = place[-1] if place else None
    return _RULES[last] if isinstance(last, str) else "an object"


_RULES: Mapping[str, str] = {
    name: field.description or ""
    for model in (Customer, Batch, BatchCustomer, ValueTerms, ComparisonQuery)
    for name, field in model.model_fields.items()
}
