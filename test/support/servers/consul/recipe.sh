# shellcheck shell=bash disable=SC2034
# Business Source Licence: run it as a test server, never ship or commit it.
version=1.22.7
makes=(bin/consul)
build() { go_build consul github.com/hashicorp/consul; }
verify() { "$OUT/bin/consul" version | grep -F "Consul v$version"; }
