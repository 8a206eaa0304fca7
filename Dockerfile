# docker build -t siftline .
# docker run -p 8080:8080 -p 19071:19071 -e SIFTLINE_TOKEN=secret \
#   -v "$PWD/my-app:/app:ro" -v siftline:/data siftline
#
# Without a package at /app the server waits for a deployment to the config port.

FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/siftline \
 && /opt/siftline/bin/pip install --no-cache-dir -c constraints.txt '.[server,openvino]'

FROM python:3.11-slim
RUN useradd --system --home-dir /data siftline \
 && mkdir -p /app /data /cache \
 && chown siftline:siftline /app /data /cache
COPY --from=build /opt/siftline /opt/siftline
ENV PATH=/opt/siftline/bin:$PATH \
    SIFTLINE_CACHE=/cache \
    NUMBA_CACHE_DIR=/cache/numba \
    PYTHONUNBUFFERED=1
USER siftline
VOLUME ["/data", "/cache"]
EXPOSE 8080 19071
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", \
  "import urllib.request; urllib.request.urlopen('http://127.0.0.1:19071/state/v1/health', timeout=4)"]
# all addresses of the container: the server refuses that without SIFTLINE_TOKEN or certificates
ENTRYPOINT ["siftline", "serve", "/app", "--data", "/data", "--host", "0.0.0.0"]
