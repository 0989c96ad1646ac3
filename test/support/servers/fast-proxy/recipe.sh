# shellcheck shell=bash disable=SC2034
# fast-proxy with undici, the leanest proxy there is on npm: a peer of `npm run bench -- proxy`.
version=2.2.0
makes=(fast-proxy bin/fast-proxy)
build() {
  mkdir -p "$OUT/fast-proxy"
  cp package.json package-lock.json serve.cjs "$OUT/fast-proxy/"
  (cd "$OUT/fast-proxy" && npm ci --no-audit --no-fund --ignore-scripts --silent)
  cat >"$OUT/bin/fast-proxy" <<'RUN'
#!/bin/sh
exec node "$(dirname "$(dirname "$(readlink -f "$0")")")/fast-proxy/serve.cjs" "$@"
RUN
  chmod 755 "$OUT/bin/fast-proxy"
}
verify() { "$OUT/bin/fast-proxy" -v | grep -F "$version"; }
