# shellcheck shell=bash disable=SC2034
# The HTTP/1.1 load generator of `npm run bench`.
version=1
makes=(bin/lg)
build() { go_build lg .; }
