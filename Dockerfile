# The three programs on Debian 12, for the chart in helm/bailiwick: docker build -t bailiwick:0.1.0 .
FROM debian:12 AS build
WORKDIR /src
COPY scripts/packages.txt scripts/packages.txt
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
        $(awk '$1 == "build" { split($2, name, "|"); print name[1] }' scripts/packages.txt) \
 && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release && ninja -C build/release programs \
 && strip build/release/bin/bailiwickd build/release/bin/bailiwick-relay build/release/bin/bailiwick

FROM debian:12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
        ca-certificates libjansson4 libmaxminddb0 libmicrohttpd12 libmimalloc2.0 libnghttp2-14 libpq5 libprotobuf-c1 \
        libsmartcols1 libssl3 libuv1 libyaml-0-2 zlib1g \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/release/bin/bailiwickd /src/build/release/bin/bailiwick-relay /src/build/release/bin/bailiwick /usr/local/bin/
# The chart's configuration names this path as database.schema.
COPY schema /usr/share/bailiwick/schema
COPY LICENSE /usr/share/doc/bailiwick/LICENSE
USER 10001:10001
ENTRYPOINT []
CMD ["bailiwickd", "help"]
