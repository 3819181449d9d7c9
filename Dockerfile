# Foldline: one image, run as `serve` or as `worker` (see docker-compose.yml).
# A release names the digest it was built from: --build-arg BASE=python:3.13.9-slim-trixie@sha256:…
ARG BASE=python:3.13.9-slim-trixie
FROM ${BASE}
WORKDIR /opt/foldline
RUN useradd --system --create-home foldline
# Dependencies first: this layer is rebuilt only when the lock changes, and pip refuses any other file.
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY domain domain
COPY application application
COPY projections projections
COPY interfaces interfaces
RUN pip install --no-cache-dir --no-deps .
USER foldline
ENV FOLDLINE_HOST=0.0.0.0
EXPOSE 8080
ENTRYPOINT ["foldline"]
CMD ["serve", "--no-worker"]
