# One image for every process: serve, worker, sandbox, demo and the operators' tools.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.txt ./
RUN python -m venv /opt/otp \
 && /opt/otp/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY otp_service ./otp_service
RUN /opt/otp/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/otp --create-home otp
COPY --from=build /opt/otp /opt/otp
ENV PATH=/opt/otp/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PROMETHEUS_MULTIPROC_DIR=/tmp/otp-metrics \
    OTP_LISTEN=0.0.0.0:8000
USER otp
WORKDIR /var/lib/otp
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
ENTRYPOINT ["otp-service"]
CMD ["serve"]
