"""The HTTP service: a Flask app that answers from a saved posterior, without the sampler.

| module | what it is for |
| --- | --- |
| `server` | gunicorn: one checked model, one port, workers that slow clients cannot hold up |
| `app` | `create_app`, the factory |
| `home` | `GET /`: the dashboard for browsers, the routes and the model's facts for programs |
| `dashboard` | the content of the dashboard; `api/static` draws its charts |
| `docs` | `GET /docs`: the OpenAPI document as a page |
| `openapi` | `GET /openapi.json`, made from the schemas |
| `predictions` | `POST /v1/predictions`: many customers at once |
| `segments` | `GET /v1/segments`: the churn comparison |
| `model` | `GET /v1/model`: the model that is served, and its record |
| `predict` | `POST /predict` |
| `health` | `GET /health/live` and `GET /health/ready` |
| `trace` | for every request: an id, headers, a line in the log, a count |
| `tokens` | the bearer token, where one is required |
| `metrics` | `GET /metrics`: the counts of all workers, in memory that they share |
| `logs` | logs with one JSON object per line, without data of customers |
| `schemas` | the schemas of requests, and the line that says what is wrong with one |
| `answers` | the schemas of answers |
| `wire` | request bodies: bytes, text, fields; nothing is trusted, nothing evaluated |
| `loaded` | the posterior that the app serves |
| `envelope` | the one shape of every answer |
| `words` | words from a request, made safe to show |
"""

from api.app import create_app

__all__ = ["create_app"]
