# One image for every process: serve, worker and the operators' tools. It has no extra of the demo, and nothing but Python, the
# service and their libraries: no shell, no package manager, no pip. What it holds, deploy/image/collect.py decides.
# To renew the base: docker buildx imagetools inspect python:3.11-slim, and write its digest below.
ARG BASE=python:3.11.16-slim@sha256:8203f8b7cc03e7a0b2da2a7bfebdb7e39d985983791e2aba5b01cc535bf36f53
FROM ${BASE} AS build
WORKDIR /src
COPY requirements.txt native-requirements.txt ./
RUN python3 -m venv /opt/otp \
 && /opt/otp/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
# --build-arg ARGON2_MARCH=x86-64-v3 compiles Argon2 for such processors, see docs/performance.md. Empty: for any.
ARG ARGON2_MARCH=
# The compiler stays in this stage, so its version need not be pinned.
# hadolint ignore=DL3008
RUN test -z "$ARGON2_MARCH" || { \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev \
 && python3 -m venv /opt/native \
 && /opt/native/bin/pip install --no-cache-dir --require-hashes -r native-requirements.txt \
 && sed -n '/^argon2-cffi-bindings==/,/[^\\]$/p' requirements.txt > argon2.txt \
 && CFLAGS="-O3 -march=$ARGON2_MARCH" /opt/native/bin/pip wheel --no-cache-dir --no-deps --require-hashes \
      --no-build-isolation --no-binary argon2-cffi-bindings --wheel-dir native -r argon2.txt \
 && /opt/otp/bin/pip install --no-cache-dir --no-deps --force-reinstall native/*.whl; }
COPY pyproject.toml README.md LICENSE ./
COPY otp_service ./otp_service
RUN /opt/otp/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

COPY deploy/image/collect.py ./
RUN python3 collect.py /opt/otp /image

FROM scratch
COPY --from=build /image /
ENV PATH=/opt/otp/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PROMETHEUS_MULTIPROC_DIR=/tmp/otp-metrics \
    OTP_LISTEN=0.0.0.0:8000
USER 10001:10001
WORKDIR /var/lib/otp
EXPOSE 8000 8001 9464
STOPSIGNAL SIGTERM
ENTRYPOINT ["otp-service"]
CMD ["serve"]
