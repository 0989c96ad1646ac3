# shellcheck shell=bash disable=SC2034
# rnacos, an independent server that speaks Nacos's API, out of the crate registry with its own Cargo.lock.
version=0.8.8
makes=(bin/rnacos)
build() {
  CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$OUT/target} nice -n 10 \
    cargo install rnacos --version "=$version" --locked -j "$JOBS" --no-track --root "$OUT"
}
verify() { "$OUT/bin/rnacos" --version | grep -F "$version"; }
