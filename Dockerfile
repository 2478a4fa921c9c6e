# The core, for `docker build .` and `make image`. BASE is any Debian 12; its Python is the one that runs.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS builder
# Debian's packages are those of the base's release, with its security updates: none is pinned.
# The secrets are optional: what this place's apt and pip must know, its certificates and mirrors. They stay out.
# hadolint ignore=DL3008
RUN --mount=type=secret,id=apt,target=/etc/apt/apt.conf.d/99build \
    apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/loa
WORKDIR /src
COPY requirements/cluster.lock requirements/
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/loa/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/cluster.lock
COPY pyproject.toml README.md LICENSE ./
COPY loa loa
# What only builds has no place in what runs.
RUN /opt/loa/bin/pip install --no-cache-dir --no-index --no-deps --no-build-isolation . \
 && /opt/loa/bin/pip uninstall --yes setuptools pip \
 && find /opt/loa -depth -type d \( -name tests -o -name include \) -exec rm -rf {} +

FROM ${BASE}
# hadolint ignore=DL3008
RUN --mount=type=secret,id=apt,target=/etc/apt/apt.conf.d/99build \
    apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 tzdata \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && groupadd --system --gid 10001 loa \
 && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/loa --shell /usr/sbin/nologin loa \
 && install --directory --owner=loa --group=loa --mode=0700 /var/lib/loa
COPY --from=builder /opt/loa /opt/loa
ENV PATH=/opt/loa/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LOA_DATA_DIR=/var/lib/loa \
    LOA_HTTP_HOST=0.0.0.0 \
    LOA_HTTP_PORT=8080 \
    LOA_MEDIA_HOST=:: \
    LOA_MEDIA_PORT=5004
USER 10001:10001
VOLUME /var/lib/loa
EXPOSE 8080/tcp 5004/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/loa/bin/python", "-m", "loa.app.healthcheck", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["/opt/loa/bin/loa"]
CMD ["serve"]
