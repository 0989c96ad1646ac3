# shellcheck shell=bash disable=SC2034
# haproxy, a peer of `npm run bench -- proxy`, out of packages of Debian 12; nothing is installed on the machine.
version=2.6.12
makes=(haproxy bin/haproxy)
build() {
  mkdir -p "$OUT/haproxy"
  cd "$OUT/haproxy"
  apt-get download haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1
  for package in *.deb; do dpkg-deb -x "$package" .; done
  rm -f ./*.deb
  cat >"$OUT/bin/haproxy" <<'RUN'
#!/bin/sh
own=$(dirname "$(dirname "$(readlink -f "$0")")")/haproxy
LD_LIBRARY_PATH=$own/usr/lib/$(uname -m)-linux-gnu exec "$own/usr/sbin/haproxy" "$@"
RUN
  chmod 755 "$OUT/bin/haproxy"
}
verify() { "$OUT/bin/haproxy" -v | grep -F "$version"; }
