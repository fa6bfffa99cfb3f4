"""Errors that this package raises on purpose; each message is one line to act on."""


class BayesClvError(Exception):
    """Base of the errors below, so that a caller can catch them all."""


class InputError(BayesClvError, ValueError):
    """The data or an argument cannot be used as they are; the command line exits with code 2."""


class ArtifactError(BayesClvError):
    """A model file is refused or cannot be written; the command line exits with code 2."""


class UnsoundPosterior(BayesClvError):
    """The sampler's diagnostics say the posterior cannot be trusted; exit code 3."""
