"""Which column of a log plays which role."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from bayes_clv.errors import InputError

# The usual names of each role, compared without case, spaces and punctuation. Earlier groups
# take precedence: 'id' is the customer only where no column is named customer, client or user.
# English names come first; then those of German, French, Spanish, Italian, Portuguese and Dutch.
USUAL_NAMES: Mapping[str, tuple[frozenset[str], ...]] = {
    role: tuple(frozenset(group.split()) for group in groups)
    for role, groups in {
        "customer": (
            "customer customerid customerno customernumber customernr customercode customerkey"
            " cust custid custno",
            "client clientid user userid buyer buyerid shopper shopperid member memberid"
            " account accountid household householdid",
            "kunde kundenid kundennr kundennummer kundenr debitor debitorennummer"
            " clientno numeroclient numéroclient codeclient idclient"
            " cliente idcliente codigocliente códigocliente codicecliente klant klantid klantnr"
            " klantnummer",
            "customeruserid email customeremail emailaddress emailbilling billingemail",
            "id",
        ),
        "date": (
            "date invoicedate orderdate purchasedate transactiondate",
            "timestamp datetime createdat orderedat purchasedat invoicedatetime orderdatetime"
            " ordertimestamp orderpurchasetimestamp transactiontimestamp",
            "datum bestelldatum rechnungsdatum kaufdatum auftragsdatum belegdatum orderdatum"
            " factuurdatum datecommande datedecommande datefacture dateachat fecha fechapedido"
            " fechafactura fechacompra data dataordine datafattura datapedido datacompra",
        ),
        "amount": (
            "amount sales revenue spend monetaryvalue dollarvalue ordervalue orderamount"
            " transactionvalue transactionamount purchaseamount salesamount invoiceamount"
            " totalamount ordertotal invoicetotal linetotal totalprice totalspend",
            "total value paymentvalue",
            "betrag umsatz gesamtbetrag rechnungsbetrag gesamtpreis bestellwert summe"
            " montant montanttotal importe importetotal importo importototale valor valortotal"
            " bedrag totaalbedrag",
        ),
        "quantity": (
            "quantity qty orderquantity quantityordered units",
            "menge anzahl stück stueck quantité quantite cantidad quantità quantita quantidade"
            " aantal",
        ),
        "price": (
            "price unitprice itemprice priceeach",
            "preis einzelpreis stückpreis stueckpreis prix prixunitaire precio preciounitario"
            " prezzo prezzounitario preço preçounitário preco prijs stukprijs",
        ),
        "invoice": (
            "invoice invoiceno invoiceid invoicenumber invoicenr",
            "order orderid orderno ordernumber ordernr",
            "transactionid transactionno receiptid receiptno",
            "rechnung rechnungsnr rechnungsnummer bestellnr bestellnummer belegnr belegnummer"
            " facture numérofacture numerofacture commande numérocommande numerocommande"
            " factura numerofactura númerofactura pedido numeropedido fattura numerofattura ordine"
            " fatura factuur factuurnummer bestelling",
        ),
        "stock_code": (
            "stockcode",
            "sku skuid",
            "itemcode itemid productcode productid",
            "item product",
        ),
    }.items()
}
# Words of names such as 'Total Purchase Amount': one of the first kind, and others of the second.
_MONEY = frozenset(
    {"amount", "amt", "revenue", "sales", "turnover", "spend", "spent", "total", "gmv", "subtotal"}
    | {"umsatz", "betrag", "nettobetrag", "bruttobetrag", "rechnungsbetrag", "gesamtbetrag"}
    | {"montant", "importe", "importo", "bedrag", "omzet"}
)
_BESIDE_MONEY = frozenset(
    {"net", "netto", "gross", "brutto", "grand", "base", "ht", "ttc", "incl", "excl", "vat", "tax"}
    | {"including", "excluding", "mwst", "inkl", "zzgl", "tva", "iva"}
    | {"grand", "paid", "purchase", "order", "transaction", "invoice", "line", "sale"}
    | {"value", "price", "customer", "payment", "in", "local", "currency"}
    | {"usd", "eur", "gbp", "cad", "aud", "chf", "inr", "jpy", "brl", "sek", "pln"}
)
_TAX = frozenset({"vat", "tax", "mwst", "tva", "iva"})
_WITH_TAX = frozenset({"incl", "excl", "including", "excluding", "inkl", "zzgl"})
_CURRENCY = frozenset(
    {"currency", "currencycode", "ordercurrency", "ordercurrencycode", "presentmentcurrency"}
    | {"währung", "waehrung", "devise", "moneda", "valuta", "moeda"}
)
# Words of columns that may hold the id of a person.
_PERSON = frozenset(
    {"customer", "client", "user", "buyer", "shopper", "member", "account", "household", "person"}
    | {"email", "mail", "phone", "contact", "kunde", "kunden", "klant", "cliente"}
)
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
    labels = _labels(columns)
    given = {role: name for role, name in named.items() if name is not None}
    found = {role: _position(name, role, labels, source) for role, name in given.items()}
    used = set(found.values())
    for role in USUAL_NAMES:
        if role not in found and not (role == "amount" and "price" in given):
            position = _usual(role, labels, used, source)
            if position is not None:
                found[role] = position
    for role in REQUIRED:
        if role not in found:
            raise InputError(
                f"no column of {source} has a usual name for the {role}; {_listing(labels)}; "
                f"say which one with {_option(role)}"
            )
    if "amount" not in found and not {"price", "quantity"} <= set(found) and "price" not in given:
        position = _money(labels, set(found.values()), source)
        if position is not None:
            found["amount"] = position
    if "amount" in found:
        found.pop("price", None)
    elif "price" in found and "quantity" not in found:
        price = labels[found["price"]]
        raise InputError(
            f"{source} has a price, {price!r}, but no quantity; {_listing(labels)}; say which one "
            f"with {_option('quantity')}, or {_option('amount')} if {price!r} is what was paid"
        )
    return found


def other_ids(columns: Sequence[str], roles: Mapping[str, int]) -> list[int]:
    """Return the positions of other columns whose names could be those of a person's id.

    Examples
    --------
    >>> other_ids(["order_id", "customer_id", "customer_unique_id", "date"], {"customer": 1})
    [2]
    """
    used = set(roles.values())
    return [i for i, name in enumerate(columns) if i not in used and _PERSON & {*_words(name)}]


def currency_column(columns: Sequence[str], roles: Mapping[str, int]) -> int | None:
    """Return the position of a column that names the currency of each row, or None."""
    used = set(roles.values())
    found = (i for i, name in enumerate(columns) if i not in used and _key(name) in _CURRENCY)
    return next(found, None)


def _labels(columns: Sequence[str]) -> list[str]:
    """Return names that tell columns apart: those of a repeated name get numbers, from (1)."""
    seen: Counter[str] = Counter()
    labels = []
    for name in columns:
        seen[name] += 1
        labels.append(f"{name} ({seen[name]})" if columns.count(name) > 1 else name)
    return labels


def _position(name: str, role: str, columns: Sequence[str], source: str) -> int:
    """Find the column that the caller named, by its exact name or else by its `_key`."""
    matches = (
        [i for i, column in enumerate(columns) if column == name]
        or [i for i, column in enumerate(columns) if _bare(column) == name]
        or [i for i, column in enumerate(columns) if _key(column) == _key(name)]
    )
    if not matches:
        raise InputError(f"{source} has no column {name!r} ({_option(role)}); {_listing(columns)}")
    if len(matches) > 1:
        raise InputError(
            f"{source} has {len(matches)} columns that {name!r} may mean ({_option(role)}); "
            f"say which one: {_candidates(columns, matches)}"
        )
    return matches[0]


def _usual(role: str, columns: Sequence[str], used: set[int], source: str) -> int | None:
    for names in USUAL_NAMES[role]:
        matches = [i for i, c in enumerate(columns) if i not in used and _key(_bare(c)) in names]
        if len(matches) == 1 or (matches and role in UNASKED):
            return matches[0]
        if matches:
            repeated = len({_bare(columns[i]) for i in matches}) == 1
            why = f" (its header repeats the name {_bare(columns[matches[0]])!r})"
            raise InputError(
                f"the {role} of {source} may be {_candidates(columns, matches)}"
                f"{why if repeated else ''}; say which one with {_option(role)}"
            )
    return None


def _money(columns: Sequence[str], used: set[int], source: str) -> int | None:
    """Find a column whose name speaks of money that was paid, such as 'Total Purchase Amount'."""
    matches = [
        i
        for i, column in enumerate(columns)
        if i not in used
        and _MONEY & (words := {*_words(_bare(column))})
        and words <= _MONEY | _BESIDE_MONEY
        and (not words & _TAX or words & _WITH_TAX)  # 'Sales tax' is no price
    ]
    if len(matches) > 1:
        raise InputError(
            f"the amount of {source} may be {_candidates(columns, matches)}; "
            f"say which one with {_option('amount')}"
        )
    return matches[0] if matches else None


def _candidates(columns: Sequence[str], positions: Sequence[int]) -> str:
    return " or ".join(repr(columns[i]) for i in positions)


def _bare(label: str) -> str:
    """Return a label without the number that `_labels` gave it."""
    return re.sub(r" \([0-9]+\)$", "", label)


def _words(name: str) -> list[str]:
    """Return the words of a name: customer_uniqueId -> customer, unique, id."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", spaced.casefold())


def _key(name: str) -> str:
    """Return a name's letters and digits, in lower case."""
    return "".join(character for character in name.casefold() if character.isalnum())


def _option(role: str) -> str:
    return f"{role}= (--{role})"


def _listing(columns: Sequence[str], longest: int = 30) -> str:
    shown = ", ".join(repr(column[:40]) for column in columns[:longest])
    more = f" and {len(columns) - longest} more" if len(columns) > longest else ""
    return f"its columns are {shown}{more}"
