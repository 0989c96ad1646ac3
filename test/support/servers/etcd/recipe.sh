# shellcheck shell=bash disable=SC2034
version=3.6.16
makes=(bin/etcd)
build() { go_build etcd go.etcd.io/etcd/server/v3; }
verify() { "$OUT/bin/etcd" --version | grep -F "etcd Version: $version"; }
