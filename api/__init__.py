"""The HTTP service: a Flask app that answers from a saved posterior, without the sampler."""

from api.app import create_app

__all__ = ["create_app"]
