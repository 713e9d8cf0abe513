# syntax=docker/dockerfile:1

# The slim image has no make and no C compiler, which jemalloc's build needs.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo .cargo
COPY proto proto
COPY web web
COPY src src
RUN cargo build --release --locked --bin otto-handler

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home otto \
 && install -d -o otto -g otto /data
COPY --from=build /src/target/release/otto-handler /usr/local/bin/otto-handler
USER 10001
VOLUME /data
EXPOSE 8080 4000
# The ports are reached from outside the container: readers need a token made with JWT_SECRET, and
# today's ottoscaler pushes without a credential. The HTTP port is 4000, or what the platform sets
# as PORT; the health check reads the same variables as the server.
ENV OTTO_DATA_DIR=/data \
    OTTO_GRPC_ADDR=0.0.0.0:8080 \
    OTTO_HTTP_ADDR=0.0.0.0 \
    OTTO_PUSH_AUTH=none \
    OTTO_LOG_FORMAT=json
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["otto-handler", "health"]
ENTRYPOINT ["otto-handler"]
CMD ["serve"]
