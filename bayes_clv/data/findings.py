"""One thing that may be wrong with a log, in words that may name what was seen."""

from dataclasses import dataclass
from typing import Any

_SEEN = "{seen}"
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Finding:
    """One line about a log.

    Parameters
    ----------
    text
        The line: a figure, its threshold and what settles it. ``{seen}`` stands where the values go
        that were seen.
    seen
        These values. They are the log's own, such as the id of a customer, so they are shown to the
        person who reads the log and are not stored in a model file.
    """

    text: str
    seen: str = ""

    @property
    def told(self) -> str:
        """The line for the person who reads the log.

        >>> Finding("one customer{seen} has 60% of the rows", "'guest'").told
        "one customer ('guest') has 60% of the rows"
        """
        return self.text.replace(_SEEN, f" ({self.seen})" if self.seen else "")

    @property
    def stored(self) -> str:
        """The line for the model file: without values of the log.

        >>> Finding("one customer{seen} has 60% of the rows", "'guest'").stored
        'one customer has 60% of the rows'
        """
        return self.text.replace(_SEEN, "")


def quoted(value: Any) -> str:
    """Quote a value on one line, shortened if it is long.

    >>> quoted("a  b")
    "'a b'"
    """
    text = " ".join(str(value).split())
    return repr(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def percent(share: float) -> str:
    """Write a share with the digits that tell it from 0 and from 1.

    >>> percent(0.0123), percent(0.437), percent(0.99996), percent(0.00004)
    ('1.2%', '44%', '99.996%', '0.004%')
    """
    rest = min(share, 1 - share) * 100
    digits = 0 if rest >= 10 or rest <= 0 else 1 if rest >= 0.1 else 3
    return f"{share:.{digits}%}"
