"""Errors and warnings of this package; each message is one line that says what to do."""


class BayesClvError(Exception):
    """Base of the errors below, so that a caller can catch them all."""


class InputError(BayesClvError, ValueError):
    """The data or an argument cannot be used; the command line exits with code 2."""


class ArtifactError(BayesClvError):
    """A model file is rejected or cannot be written; the command line exits with code 2."""


class UnsoundPosterior(BayesClvError):
    """The sampler's diagnostics show that the posterior cannot be trusted; exit code 3."""


class BayesClvWarning(UserWarning):
    """Base of the warnings below; the command line prints them as one line on stderr."""


class SegmentWarning(BayesClvWarning):
    """Customers have own segments that the model does not know."""
