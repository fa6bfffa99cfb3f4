"""The HTTP service: a Flask app that answers from a saved posterior, without the sampler.

| module | what it is for |
| --- | --- |
| `server` | gunicorn: one checked model, one port, workers that slow clients cannot hold up |
| `app` | `create_app`, the factory |
| `home` | `GET /`: the dashboard for browsers; routes and model facts for programs |
| `dashboard` | the dashboard's HTML page; the scripts in `api/static` draw its charts |
| `docs` | `GET /docs`: the OpenAPI document as a page |
| `openapi` | `GET /openapi.json`, generated from the schemas |
| `predictions` | `POST /v1/predictions`: a batch of customers |
| `segments` | `GET /v1/segments`: the churn comparison |
| `model` | `GET /v1/model`: facts about the model |
| `predict` | `POST /predict`: one customer |
| `health` | `GET /health/live` and `GET /health/ready` |
| `trace` | request ids, response headers, the request log, and counts |
| `tokens` | the bearer token, where one is required |
| `metrics` | `GET /metrics`: counts over all workers, in shared memory |
| `logs` | logs with one JSON object per line, without customer data |
| `schemas` | schemas of requests, and the message for an invalid request |
| `answers` | schemas of answers |
| `wire` | reads request bodies into fields, without evaluating them |
| `loaded` | the posterior that the app serves, and its file |
| `envelope` | the JSON envelope of every answer |
| `words` | makes text from a request safe to show |
"""

from api.app import create_app

__all__ = ["create_app"]
