# Image of the worker with libtorch and its models. The shipped stage has no Python and no compiler.
#
#     docker build -t parakeet-worker .
#     docker build -t parakeet-worker:cuda --build-arg VARIANT=cuda --build-arg COMPUTE_TYPES=bfloat16 .
#
# docs/operating.md describes the arguments, how to run the image, and which stages have been tried.

ARG BASE_IMAGE=debian:bookworm-slim
ARG RUST_VERSION=1.95.0

# BuildKit skips this stage, because no other stage needs it. A builder without BuildKit starts here and ends
# with the message that it needs BuildKit, before it has fetched anything.
FROM scratch AS needs-buildkit
RUN --mount=type=tmpfs,target=/tmp ["true"]

# The tools that compile and export: Rust, and the Python packages of `cargo xtask setup`. They are a layer
# of their own, because torch has gigabytes and changes only with the engine's releases.
FROM rust:${RUST_VERSION}-bookworm AS tools
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
# The builder may name another index, for example PyTorch's for CPUs, whose wheel has a tenth of the size.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN python3 -m venv /opt/exporter \
    && /opt/exporter/bin/pip install --no-cache-dir \
        "torch==2.11.0" "numpy>=1.26" "PyYAML>=6" "sentencepiece>=0.2" \
    && ln -s /opt/exporter/lib/python3.*/site-packages /opt/site-packages \
    && python3 -m venv /opt/hub \
    && /opt/hub/bin/pip install --no-cache-dir "huggingface_hub==1.16.4"
WORKDIR /src

# The libraries of libtorch that the worker loads.
FROM tools AS libtorch
ARG VARIANT=cpu
COPY deploy/image/copy-libtorch.sh .
RUN ./copy-libtorch.sh "$VARIANT" /opt/site-packages /opt/parakeet

# The program. Every change of the source builds this layer again, but the cache mounts outlive the layer, so
# dependencies are compiled once. The rpath to libtorch is relative to the program and replaces the rpath of a
# checkout.
#
# Every checkout that a builder builds shares the artefacts in /src/target. Cargo compiles a file again only if
# the file is newer than its artefact, and COPY keeps the times of the checkout: of an older checkout cargo would
# compile nothing, and the image would hold another checkout's program. Therefore `touch` makes every file newer
# than every artefact, among them the files that a build script reads and that a source includes. The mount is
# locked, because a build that ends between this touch and this cargo would leave newer artefacts. Cargo knows a
# dependency by its version and checksum, so a dependency stays compiled. The exception is torch-sys: its build
# script reads libtorch, which cargo does not watch. Therefore each release of libtorch has a folder of its own.
FROM tools AS build
ARG RUST_VERSION
ENV LIBTORCH=/opt/site-packages/torch RUSTUP_TOOLCHAIN=${RUST_VERSION}
COPY Cargo.toml Cargo.lock engine.yaml deny.toml ./
COPY .cargo .cargo
COPY xtask xtask
COPY benches benches
COPY fuzz fuzz
COPY tests tests
COPY crates crates
COPY bins bins
# hadolint ignore=SC2016
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=parakeet-target,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && CARGO_TARGET_DIR=target/$(basename /opt/site-packages/torch-*.dist-info) \
    && export CARGO_TARGET_DIR RUSTFLAGS='-C link-arg=-Wl,-rpath,$ORIGIN/../torch/lib' \
    && cargo build --locked --release --package parakeet-worker \
    && install -D --target-directory=/opt/parakeet/bin "$CARGO_TARGET_DIR/release/parakeet-worker" \
    && strip --strip-debug /opt/parakeet/bin/parakeet-worker \
    && unset RUSTFLAGS \
    && cargo run --locked --package xtask -- supply --out /opt/parakeet/licenses/parakeet

# Bundles: always the tiny model, and the default model from the hub with the credit that its licence requires.
FROM tools AS export
COPY xtask/python xtask/python
COPY models/parakeet-rnnt-tiny/parakeet-rnnt-tiny.nemo .
ENV PYTHONPATH=/src/xtask/python
RUN /opt/exporter/bin/python -m exporter.export parakeet-rnnt-tiny.nemo \
    --model-id parakeet-rnnt-tiny --out /opt/parakeet/models/parakeet-rnnt-tiny
ARG DEFAULT_MODEL=nvidia/parakeet-rnnt-0.6b
ARG MODEL_LICENCE="CC-BY-4.0 (https://creativecommons.org/licenses/by/4.0/)"
ARG COMPUTE_TYPES=float32,bfloat16
RUN --mount=type=cache,target=/var/cache/hub \
    if [ "$DEFAULT_MODEL" != parakeet-rnnt-tiny ]; then \
        owner=${DEFAULT_MODEL%%/*} \
        && folder=/opt/parakeet/models/$owner--${DEFAULT_MODEL#*/} \
        && checkpoint=$(HF_HOME=/var/cache/hub /opt/hub/bin/python -m exporter.hub "$DEFAULT_MODEL") \
        && /opt/exporter/bin/python -m exporter.export "$checkpoint" \
            --model-id "$DEFAULT_MODEL" --dtype "$COMPUTE_TYPES" --out "$folder" \
        && printf '%s\n' \
            "Speech recognition with $DEFAULT_MODEL by $owner" \
            "(https://huggingface.co/$DEFAULT_MODEL), $MODEL_LICENCE;" \
            "converted to TorchScript with folded weights." > "$folder/NOTICE"; \
    fi

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
COPY --from=tools /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=libtorch /opt/parakeet /opt/parakeet
COPY --from=export /opt/parakeet/models /opt/parakeet/models
COPY LICENSE /opt/parakeet/licenses/parakeet/
COPY --from=build /opt/parakeet /opt/parakeet
ARG DEFAULT_MODEL=nvidia/parakeet-rnnt-0.6b
# The parts of the driver that a container with a GPU receives.
ENV PATH=/opt/parakeet/bin:$PATH \
    DALSTON_DEFAULT_MODEL=${DEFAULT_MODEL} \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# The worker searches `models` in this folder after `/models`, so a volume there adds models and hides none.
WORKDIR /opt/parakeet
USER 65532:65532
EXPOSE 9100
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["parakeet-worker", "health"]
ENTRYPOINT ["parakeet-worker"]
CMD ["run"]
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE
LABEL org.opencontainers.image.title="Parakeet engine" \
    org.opencontainers.image.description="Speech to text with NVIDIA Parakeet, a worker of Dalston" \
    org.opencontainers.image.source="${SOURCE}" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
