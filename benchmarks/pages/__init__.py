"""Pages of generators: bytes, rates and pixels (`python -m benchmarks.pages RUN...`)."""
