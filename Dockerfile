# Where no hub is reachable, give another base with Python 3.11, its venv module and CA certificates:
#   --build-arg BASE=NAME
ARG BASE=python:3.11-slim
FROM ${BASE}

ENV PATH=/opt/cm-service/bin:$PATH \
    CM_DATA_DIR=/var/lib/cm-service \
    PYTHONUNBUFFERED=1

# The libraries first: they change less often than the code.
COPY requirements-image.txt /opt/app/
RUN python3 -m venv /opt/cm-service \
 && pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /opt/app/requirements-image.txt

# Editable, because the migrations stand beside the package.
COPY pyproject.toml README.md LICENSE NOTICE /opt/app/
COPY migrations /opt/app/migrations
COPY src /opt/app/src
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --editable /opt/app \
 && python3 -m compileall -q /opt/app/src \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/cm-service cm-service \
 && install --directory --owner=cm-service --group=cm-service --mode=0700 /var/lib/cm-service

USER 10001:10001
WORKDIR /var/lib/cm-service
VOLUME /var/lib/cm-service
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["cm-service"]
CMD ["serve", "--host", "0.0.0.0"]
