"""What a customer must look like, and the line that says everything that is wrong with one."""

from collections.abc import Collection
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from api.wire import Fields
from api.words import named, shown
from bayes_clv.errors import InputError

LIMIT = 1e9  # purchases, or days: beyond any customer, and far from overflow
MONEY_LIMIT = 1e15
_MAX_FAULTS = 12
_MAX_NAMES = 20


def _whole(value: float) -> float:
    if not value.is_integer():
        raise ValueError
    return value


class Customer(BaseModel):
    """One customer's state; a field's description is the rule that a refusal quotes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    frequency: Annotated[float, AfterValidator(_whole)] = Field(
        ge=0, le=LIMIT, description=f"a whole number from 0 to {LIMIT:,.0f}"
    )
    recency: float = Field(
        ge=0, le=LIMIT, description=f"a number of days from 0 to {LIMIT:,.0f}, at most T"
    )
    T: float = Field(ge=0, le=LIMIT, description=f"a number of days from 0 to {LIMIT:,.0f}")
    monetary_value: float | None = Field(
        None, ge=0, le=MONEY_LIMIT, description=f"a number from 0 to {MONEY_LIMIT:,.0f}"
    )
    segment: str | None = Field(None, description="the name of a segment of the model")
    level: float = Field(0.9, gt=0, lt=1, description="a number above 0 and below 1")

    @classmethod
    def read(cls, fields: Fields, segments: Collection[str]) -> Self:
        """Check the fields.

        Parameters
        ----------
        fields
            What was sent.
        segments
            The names that the model knows.

        Raises
        ------
        InputError
            Naming every field that is wrong, the rule and the value, in one line.
        """
        try:
            return cls.model_validate(fields, context=segments)
        except ValidationError as error:
            raise InputError(_line(error)) from None

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

    @field_validator("segment")
    @classmethod
    def _known(cls, segment: str | None, info: ValidationInfo) -> str | None:
        known: Collection[str] = info.context or ()
        if segment is not None and segment not in known:
            names = ", ".join([*known][:_MAX_NAMES]) + ", …" * (len(known) > _MAX_NAMES)
            raise PydanticCustomError("rule", "must be one of {names}", {"names": names})
        return segment


def _line(error: ValidationError) -> str:
    faults = [_fault(detail) for detail in error.errors(include_url=False)]
    more = len(faults) - _MAX_FAULTS
    return "; ".join(faults[:_MAX_FAULTS] + [f"and {more:,} more"] * (more > 0))


def _fault(detail: ErrorDetails) -> str:
    name = str(detail["loc"][0])
    match detail["type"]:
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            return f"{named(name)} is not a field"
        case "rule":
            rule: Any = detail["msg"]
        case _:
            rule = f"must be {Customer.model_fields[name].description}"
    return f"{name} {rule}, not {shown(detail['input'])}"
