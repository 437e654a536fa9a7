# Sealward: docker build -t sealward:0.2.0 .
# The first stage has what libvirt-python is built with; the second only what runs.

FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config libvirt-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/build.txt requirements/run.txt requirements/
RUN python -m venv /opt/sealward \
    && /opt/sealward/bin/pip install --no-cache-dir --no-deps --no-build-isolation --require-hashes \
        -r requirements/build.txt \
    && /opt/sealward/bin/pip install --no-cache-dir --no-deps --no-build-isolation --require-hashes \
        -r requirements/run.txt
COPY pyproject.toml README.md ./
COPY sealward sealward
RUN /opt/sealward/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libvirt0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin sealward \
    && useradd --uid 10002 --user-group --no-create-home --shell /usr/sbin/nologin sealward-worker \
    && useradd --uid 10003 --user-group --no-create-home --shell /usr/sbin/nologin sealward-agent \
    && install -d -o sealward -g sealward -m 0700 /var/lib/sealward \
    && install -d -o sealward-worker -g sealward-worker -m 0700 /var/lib/sealward-worker \
    && install -d -o sealward-agent -g sealward-agent -m 0700 /var/lib/sealward-agent
COPY --from=build /opt/sealward /opt/sealward
ENV PATH=/opt/sealward/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SEALWARD_DATA_DIR=/var/lib/sealward
USER 10001
ENTRYPOINT ["sealward"]
CMD ["--help"]
