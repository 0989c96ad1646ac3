# shellcheck shell=bash disable=SC2034
# The peer of `npm run bench -- sources`: Prometheus's own discovery packages.
version=0.315.0
makes=(bin/promsd)
build() { go_build promsd .; }
verify() { grep -F "prometheus/prometheus v$version" go.mod; }
