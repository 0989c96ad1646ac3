# shellcheck shell=bash disable=SC2034
# gRPC's C core with its xDS client, as the Python package has it, and its reflection client. The command runs Python
# with the packages.
version=1.85.1
makes=(grpcio bin/grpcio-python)
build() {
  python3 -m pip install --quiet --disable-pip-version-check --only-binary=:all: --target "$OUT/grpcio" "grpcio==$version" "grpcio-reflection==$version"
  printf '#!/bin/sh\nPYTHONPATH=%s exec python3 -u "$@"\n' "$CACHE/grpcio" >"$OUT/bin/grpcio-python"
  chmod 755 "$OUT/bin/grpcio-python"
}
verify() { PYTHONPATH=$OUT/grpcio python3 -c "import grpc, grpc_reflection.v1alpha; assert grpc.__version__ == '$version'"; }
