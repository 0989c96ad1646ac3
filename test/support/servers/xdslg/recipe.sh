# shellcheck shell=bash disable=SC2034
# Many xDS clients in one process, for `npm run bench`.
version=2
makes=(bin/xdslg)
build() { go_build xdslg .; }
