# syntax is the built-in frontend's: nothing is fetched to read this file.
# Workflows and the control plane's activities.
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
RUN /app/bin/pip install --quiet --no-deps --no-build-isolation --no-cache-dir /src

FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 gamekeeper && mkdir /data && chown gamekeeper /data
COPY --from=build /app /app
WORKDIR /data
ENV PYTHONUNBUFFERED=1 PATH=/app/bin:/usr/bin:/bin
HEALTHCHECK --interval=10s --timeout=5s CMD ["python3", "-c", "import os; os.kill(1, 0)"]
USER gamekeeper
CMD ["/app/bin/python", "-m", "control_worker"]
