"""What a JSON schema cannot say about a customer, for the requests that Schemathesis makes."""

import math

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """Let no purchase be after T, nor any recency without a repeat purchase."""
    body = case.body
    customers = body.get("customers", [body]) if isinstance(body, dict) else []
    for customer in customers if isinstance(customers, list) else []:
        _settle(customer)


def _settle(customer):
    if not isinstance(customer, dict):
        return
    frequency, recency, T = (customer.get(name) for name in ("frequency", "recency", "T"))
    if all(_in_range(value) for value in (frequency, recency, T)):
        customer["recency"] = 0 if frequency == 0 else min(recency, T)


def _in_range(value):
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= 1e9
