# shellcheck shell=bash disable=SC2034
# nginx, a peer of `npm run bench -- proxy`, out of the package of Debian 12; nothing is installed on the machine.
version=1.22.1
makes=(bin/nginx)
build() {
  apt-get download "nginx=$version-*" >/dev/null 2>&1 || apt-get download nginx
  dpkg-deb -x nginx_*.deb "$OUT/deb" && rm -f nginx_*.deb
  install -m755 "$OUT/deb/usr/sbin/nginx" "$OUT/bin/nginx"
}
verify() { "$OUT/bin/nginx" -v 2>&1 | grep -F "$version"; }
