# shellcheck shell=bash disable=SC2034
# `bin/zookeeper-server` runs the jars in `zookeeper/lib`.
version=3.9.5
makes=(zookeeper bin/zookeeper-server)
build() {
  jars zookeeper/lib
  mkdir "$OUT/zookeeper/conf"
  cp logback.xml "$OUT/zookeeper/conf/"
  install -m755 zookeeper-server "$OUT/bin/"
}
verify() { test -f "$OUT/zookeeper/lib/zookeeper-$version.jar"; }
