# The service in a container: without root, and with no writable file system but a /tmp in memory.
#
#   docker build --tag bayes-clv .
#   docker run --read-only --tmpfs /tmp --publish 8080:8080 --env BAYES_CLV_TOKEN \
#     --volume "$PWD/models:/models:ro" bayes-clv
#
# The service listens on the platform's PORT, 8080 by default. The model is /models/model.clv, or the
# file in BAYES_CLV_MODEL; when that file is replaced, the service loads the new one. Mount the folder,
# not the file: a file that is mounted alone is not replaced in the container. Without BAYES_CLV_TOKEN
# the service starts only with BAYES_CLV_ALLOW_PUBLIC=1.

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY bayes_clv bayes_clv
COPY api api
RUN python -m venv /opt/bayes_clv \
 && /opt/bayes_clv/bin/pip install --constraint constraints.txt .

FROM python:3.13-slim
COPY --from=build /opt/bayes_clv /opt/bayes_clv
ENV PATH=/opt/bayes_clv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/tmp/compiled \
    BAYES_CLV_HOST=0.0.0.0 \
    BAYES_CLV_MODEL=/models/model.clv
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import os, urllib.request as r; \
r.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 8080)}/health/ready', timeout=3)"]
ENTRYPOINT ["bayes-clv", "serve"]
