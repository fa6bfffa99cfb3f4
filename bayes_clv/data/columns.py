"""Which column of a log plays which role."""

from collections.abc import Mapping, Sequence

from bayes_clv.errors import InputError

# The usual names of each role, compared without case, spaces and punctuation. Earlier groups
# take precedence: 'id' is the customer only where no column is named customer, client or user.
USUAL_NAMES: Mapping[str, tuple[frozenset[str], ...]] = {
    role: tuple(frozenset(group.split()) for group in groups)
    for role, groups in {
        "customer": (
            "customer customerid customerno customernumber customernr customercode customerkey"
            " cust custid custno",
            "client clientid user userid buyer buyerid shopper shopperid member memberid"
            " account accountid household householdid",
            "email customeremail",
            "id",
        ),
        "date": (
            "date invoicedate orderdate purchasedate transactiondate",
            "timestamp datetime createdat orderedat purchasedat invoicedatetime orderdatetime"
            " ordertimestamp orderpurchasetimestamp transactiontimestamp",
        ),
        "amount": (
            "amount sales revenue spend monetaryvalue dollarvalue ordervalue orderamount"
            " transactionvalue transactionamount purchaseamount salesamount invoiceamount"
            " totalamount ordertotal invoicetotal linetotal totalprice totalspend",
            "total value paymentvalue",
        ),
        "quantity": ("quantity qty orderquantity quantityordered units",),
        "price": ("price unitprice itemprice priceeach",),
        "invoice": (
            "invoice invoiceno invoiceid invoicenumber invoicenr",
            "order orderid orderno ordernumber ordernr",
            "transactionid transactionno receiptid receiptno",
        ),
        "stock_code": (
            "stockcode",
            "sku skuid",
            "itemcode itemid productcode productid",
            "item product",
        ),
    }.items()
}
REQUIRED = ("customer", "date")
# Where several columns have a usual name for these roles, the first one is used without an error.
UNASKED = ("stock_code",)


def find_columns(
    columns: Sequence[str], named: Mapping[str, str | None], source: str
) -> dict[str, int]:
    """Find the position of every role's column: the one named by the caller, else the usual one.

    Parameters
    ----------
    columns
        The source's column names, in order.
    named
        Role -> column that the caller names, or None to look for a usual name. Roles: those of
        `USUAL_NAMES` and ``segment``, which has no usual name.
    source
        The source's name, for messages.

    Returns
    -------
    dict
        Role -> position in `columns`. For a log with amounts it has either ``amount``, or ``price``
        and ``quantity``; beside ``amount``, ``quantity`` tells sales from returns.

    Raises
    ------
    InputError
        A named column is absent, several columns fit a role, or a required role has no column.
    """
    given = {role: name for role, name in named.items() if name is not None}
    found = {role: _position(name, role, columns, source) for role, name in given.items()}
    used = set(found.values())
    for role in USUAL_NAMES:
        if role not in found and not (role == "amount" and "price" in given):
            position = _usual(role, columns, used, source)
            if position is not None:
                found[role] = position
    for role in REQUIRED:
        if role not in found:
            raise InputError(
                f"no column of {source} has a usual name for the {role}; {_listing(columns)}; "
                f"say which one with {_option(role)}"
            )
    if "amount" in found:
        found.pop("price", None)
    elif "price" in found and "quantity" not in found:
        price = columns[found["price"]]
        raise InputError(
            f"{source} has a price, {price!r}, but no quantity; {_listing(columns)}; say which one "
            f"with {_option('quantity')}, or {_option('amount')} if {price!r} is what was paid"
        )
    return found


def _position(name: str, role: str, columns: Sequence[str], source: str) -> int:
    """Find the column that the caller named, by its exact name or else by its `_key`."""
    matches = [i for i, column in enumerate(columns) if column == name] or [
        i for i, column in enumerate(columns) if _key(column) == _key(name)
    ]
    if not matches:
        raise InputError(f"{source} has no column {name!r} ({_option(role)}); {_listing(columns)}")
    if len(matches) > 1:
        raise InputError(
            f"{source} has {len(matches)} columns that {name!r} may mean ({_option(role)}); "
            f"{_listing(columns)}"
        )
    return matches[0]


def _usual(role: str, columns: Sequence[str], used: set[int], source: str) -> int | None:
    for names in USUAL_NAMES[role]:
        matches = [i for i, c in enumerate(columns) if i not in used and _key(c) in names]
        if len(matches) == 1 or (matches and role in UNASKED):
            return matches[0]
        if matches:
            candidates = " or ".join(repr(columns[i]) for i in matches)
            raise InputError(
                f"the {role} of {source} may be {candidates}; say which one with {_option(role)}"
            )
    return None


def _key(name: str) -> str:
    """Return a name's letters and digits, in lower case."""
    return "".join(character for character in name.casefold() if character.isalnum())


def _option(role: str) -> str:
    return f"{role}= (--{role})"


def _listing(columns: Sequence[str], longest: int = 30) -> str:
    shown = ", ".join(repr(column[:40]) for column in columns[:longest])
    more = f" and {len(columns) - longest} more" if len(columns) > longest else ""
    return f"its columns are {shown}{more}"
