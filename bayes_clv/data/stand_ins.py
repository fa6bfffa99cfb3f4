"""Ids, in lower case, by which people and programs mean nobody in particular."""

WORDS = (
    *("guest", "guests", "unknown", "anonymous", "anon", "test", "tester", "dummy", "default"),
    *("walk-in", "walkin", "walk in", "walk-in customer", "cash", "cash customer", "cash sale"),
    *("guest checkout", "guest customer", "no customer", "not registered", "unregistered", "other"),
    *("undefined", "missing", "blank", "nobody", "various", "misc", "?", "x", "xxx", "pos"),
    *("no id", "not set", "(not set)", "(blank)", "empty", "anonymous user", "guest user"),
    *("gast", "gastbestellung", "laufkundschaft", "barverkauf", "unbekannt", "invité", "inconnu"),
    *("invitado", "desconocido", "ospite", "total", "totals", "grand total", "summe"),
)
# Numbers may be the id of somebody; so they have to hold more of a log.
NUMBERS = ("0", "-1", "00000", "99999", "999999", "9999999", "99999999", "999999999")
