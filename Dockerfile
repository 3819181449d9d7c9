# Foldline: one image, run as `serve` or as `worker` (see docker-compose.yml).
FROM python:3.13-slim
WORKDIR /opt/foldline
RUN useradd --system --create-home foldline
COPY pyproject.toml README.md ./
COPY domain domain
COPY application application
COPY projections projections
COPY interfaces interfaces
RUN pip install --no-cache-dir .
USER foldline
ENV FOLDLINE_HOST=0.0.0.0
EXPOSE 8080
ENTRYPOINT ["foldline"]
CMD ["serve", "--no-worker"]
