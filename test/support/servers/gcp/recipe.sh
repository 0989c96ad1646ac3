# shellcheck shell=bash disable=SC2034
# The peer of `npm run bench`: an ADS server on go-control-plane.
version=0.14.0
makes=(bin/gcp)
build() { go_build gcp .; }
verify() { grep -F "go-control-plane v$version" go.mod; }
