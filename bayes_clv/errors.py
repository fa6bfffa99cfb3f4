"""Errors that this package raises; each message is one line that says what to do."""


class BayesClvError(Exception):
    """Base of the errors below, so that a caller can catch them all."""


class InputError(BayesClvError, ValueError):
    """The data or an argument cannot be used; the command line exits with code 2."""


class ArtifactError(BayesClvError):
    """A model file is rejected or cannot be written; the command line exits with code 2."""


class UnsoundPosterior(BayesClvError):
    """The sampler's diagnostics show that the posterior cannot be trusted; exit code 3."""
