# The `plumb` binary on Debian 12. Built by Compose/compose.yaml; by hand: docker build -t plumbline .
FROM swift:6.2.1-bookworm AS build
RUN apt-get update -qq \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    libbrotli-dev libhiredis-dev liblzma-dev libpq-dev librdkafka-dev libsqlite3-dev libssl-dev libzstd-dev zlib1g-dev \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /plumbline
# The dependencies change less often than the sources: a layer of their own.
COPY Package.swift Package.resolved* ./
RUN swift package resolve
COPY Sources Sources
COPY examples examples
# SwiftPM wants a folder for each target, also for those that the product doesn't need.
RUN sed -nE 's/^ *name: "([A-Za-z]+Tests)".*|^ *\.testTarget\(name: "([A-Za-z]+Tests)".*/\1\2/p' Package.swift \
    | while read -r tests; do mkdir -p "Tests/$tests" && touch "Tests/$tests/Empty.swift"; done \
  && swift build -c release --product plumb \
  && install -D --strip .build/release/plumb /out/plumb

FROM swift:6.2.1-bookworm-slim
RUN apt-get update -qq \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    ca-certificates libbrotli1 libhiredis0.14 liblzma5 libpq5 librdkafka1 libsqlite3-0 libssl3 libzstd1 tzdata zlib1g \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --system --no-create-home --uid 10001 plumb
COPY --from=build /out/plumb /usr/local/bin/plumb
COPY examples /usr/local/share/plumbline/examples
# By number: Kubernetes can tell that it isn't root (runAsNonRoot).
USER 10001:10001
ENV PLUMB_HTTP=0.0.0.0:9464 PLUMB_LOG_FORMAT=json
EXPOSE 9464
# The image has no curl; bash speaks enough HTTP. It asks what the service answers, wherever PLUMB_HTTP puts it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${PLUMB_HTTP##*:} && printf 'GET /healthz HTTP/1.1\\r\\nHost: health\\r\\nConnection: close\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["plumb"]
CMD ["--help"]
