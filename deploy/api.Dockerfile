# syntax is the built-in frontend's: nothing is fetched to read this file.
# REST, server-sent events and the node link.
# Where the network needs an extra CA certificate: docker build --secret id=ca,src=/path/to/ca.crt
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv
COPY requirements.lock /src/
ARG PIP_INDEX_URL
RUN --mount=type=secret,id=ca \
    python3 -m venv /app \
    && if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
    && /app/bin/pip install --quiet --no-cache-dir --retries 10 --require-hashes -r /src/requirements.lock
COPY . /src/
# The web console: what the context has already, else built here. Without the npm registry the image has none.
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca NODE_EXTRA_CA_CERTS=/run/secrets/ca; fi \
    && cd /src && /app/bin/python -m scripts.web --if-possible && rm -rf web/node_modules .cache
RUN /app/bin/pip install --quiet --no-deps --no-build-isolation --no-cache-dir /src
# The agent for other machines, which the api serves: for this architecture, and this base's C library or a newer one.
RUN cd /src && /app/bin/python -m scripts.agent_bundle

FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 gamekeeper && mkdir /data /certificates /steps /payloads \
    && chown gamekeeper /data /certificates /steps /payloads
COPY --from=build /app /app
WORKDIR /data
ENV PYTHONUNBUFFERED=1 PATH=/app/bin:/usr/bin:/bin
EXPOSE 7380 7381
HEALTHCHECK --interval=2s --timeout=5s --start-period=30s --retries=15 \
    CMD ["python3", "-c", "import os, ssl, urllib.request as u; e = os.environ.get; p = e('GAMEKEEPER_REST_PORT', '7380'); plain = e('GAMEKEEPER_REST_HOST', '127.').startswith('127.') or e('GAMEKEEPER_REST_PLAIN'); s = 'http' if plain else 'https'; u.urlopen(f'{s}://127.0.0.1:{p}/livez', timeout=4, context=ssl._create_unverified_context())"]
VOLUME /data
USER gamekeeper
CMD ["/app/bin/python", "-m", "api"]
