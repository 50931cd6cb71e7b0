# The runtime set only, made by the launcher itself. Build: docker build -t caravan .
# Run: docker run -p 127.0.0.1:8080:8080 -v caravan:/var/lib/caravan caravan
ARG BASE_IMAGE=python:3.12-slim-bookworm
FROM ${BASE_IMAGE}

RUN useradd --create-home --uid 50000 caravan && install -d -o caravan -g caravan /var/lib/caravan
WORKDIR /opt/caravan
COPY caravan requirements.txt ./
RUN PIP_NO_CACHE_DIR=1 ./caravan setup
COPY dags dags
COPY include include
COPY plugins plugins

USER caravan
ENV CARAVAN_HOME=/var/lib/caravan PYTHONUNBUFFERED=1
VOLUME /var/lib/caravan
EXPOSE 8080
# Airflow shuts its parts down in order on INT; as first process of a container it would not hear TERM.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=30s --timeout=10s --start-period=180s --retries=3 \
    CMD [".venv/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/api/v2/version', timeout=8)"]
ENTRYPOINT ["/opt/caravan/caravan"]
CMD ["up", "--foreground", "--host", "0.0.0.0"]
