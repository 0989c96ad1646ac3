#!/usr/bin/env bash
# engine.sh up              install (Debian's docker.io) and start a container engine of our own
# engine.sh images [NAME]   make the local images from the binaries that get.sh has cached
# engine.sh down            remove what tests left behind and stop the engine
#
# Everything lies in $ISTHMUS_SERVERS/engine. Then: . $ISTHMUS_SERVERS/engine/engine.env
# Nothing is pulled from a hub: an image has the name of the official one and the label built=locally.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${ISTHMUS_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/isthmus-servers}
E=$CACHE/engine
export DOCKER_HOST=unix://$E/docker.sock

say() { printf '[engine] %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }
start=$EPOCHREALTIME
lap() { say "$1 in $(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s"; start=$EPOCHREALTIME; }
answers() { docker version >/dev/null 2>&1; }

# --- up, down ------------------------------------------------------------------------------------------------------

up() {
  [ "$(id -u)" = 0 ] || die "the engine needs root"
  if ! command -v dockerd >/dev/null || ! command -v iptables >/dev/null; then
    # A service would start the engine at boot; where no init runs, Debian's own policy prevents it.
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 docker.io iptables >"$E/apt.log" 2>&1 ||
      { tail -20 "$E/apt.log" >&2; die "docker.io could not be installed"; }
    lap "docker.io installed"
  fi
  cat >"$E/engine.env" <<ENV
export DOCKER_HOST=$DOCKER_HOST
export TESTCONTAINERS_HOST_OVERRIDE=127.0.0.1
export TESTCONTAINERS_RYUK_DISABLED=true
ENV
  if answers; then say "already up"; return; fi
  rm -f "$E/dockerd.pid" "$E/docker.sock"
  setsid dockerd --host "$DOCKER_HOST" --data-root "$E/data" --exec-root "$E/exec" --pidfile "$E/dockerd.pid" \
    >"$E/dockerd.log" 2>&1 </dev/null 9>&- &
  for _ in {1..300}; do
    if answers; then break; fi
    sleep 0.1
  done
  answers || { tail -20 "$E/dockerd.log" >&2; die "the engine did not start"; }
  lap "up ($(docker info --format '{{.ServerVersion}}, {{.Driver}}' 2>/dev/null))"
}

down() {
  local pid
  pid=$(cat "$E/dockerd.pid" 2>/dev/null || true)
  # The number may belong to another process by now.
  if [ -z "$pid" ] || [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != dockerd ]; then say "not up"; return; fi
  docker ps --all --quiet --filter label=org.testcontainers=true | xargs -r docker rm --force --volumes >/dev/null
  docker network ls --quiet --filter label=org.testcontainers=true | xargs -r docker network rm >/dev/null
  kill -TERM "$pid"
  for _ in {1..200}; do
    if [ ! -d "/proc/$pid" ]; then lap "down"; return; fi
    sleep 0.1
  done
  die "process $pid does not stop"
}

# --- images --------------------------------------------------------------------------------------------------------

IMAGES=(consul etcd kube-apiserver envoy nats zookeeper eureka node)
NODE_MAJOR=$(node -p 'process.versions.node.split(".")[0]')

# version_of ROW: what get.sh's recipe says.
version_of() { sed -n 's/^version=//p' "$HERE/$1/recipe.sh"; }
tag_of() {
  case $1 in
    consul) echo "hashicorp/consul:$(version_of consul)" ;;
    etcd) echo "coreos/etcd:v$(version_of etcd)" ;;
    kube-apiserver) echo "isthmus-test/kube-apiserver:$(version_of kube)" ;;
    envoy) echo "envoyproxy/envoy:v$(version_of envoy)" ;;
    nats) echo "nats:$(version_of nats)" ;;
    zookeeper) echo "zookeeper:$(version_of zookeeper)" ;;
    eureka) echo "isthmus-test/eureka:$(version_of eureka)" ;;
    node) echo "isthmus-test/node:$NODE_MAJOR" ;;
  esac
}

# What an image is made of: the row's stamp or Node's version, this script and the files in images/.
image_hash() {
  {
    if [ "$1" = node ]; then node --version; else cat "$CACHE/stamp/$1"; fi
    case $1 in zookeeper | eureka) java -version 2>&1 ;; esac
    cat "$HERE/engine.sh" "$HERE"/images/*
  } | sha256sum | cut -d' ' -f1
}

# A static busybox gives the images a shell, and the tools that wait strategies run inside a container.
busybox() {
  if [ -x "$E/busybox" ]; then return; fi
  local tmp
  tmp=$(mktemp -d "$E/busybox.XXXXXX")
  (cd "$tmp" && { apt-get download -qq busybox-static || { apt-get update -qq && apt-get download -qq busybox-static; }; }) >"$E/apt.log" 2>&1 ||
    { cat "$E/apt.log" >&2; return 1; }
  dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -xO ./bin/busybox >"$tmp/busybox"
  chmod 755 "$tmp/busybox"
  mv "$tmp/busybox" "$E/busybox"
  rm -rf "$tmp"
}

# base: a shell, folders, and names for root and hosts, in $root.
base() {
  local applet
  mkdir -p "$root"/{bin,etc/ssl/certs,tmp,root,usr/local/bin,var/tmp}
  chmod 1777 "$root/tmp" "$root/var/tmp"
  cp "$E/busybox" "$root/bin/busybox"
  for applet in $("$E/busybox" --list); do
    if [ "$applet" != busybox ]; then ln -s busybox "$root/bin/$applet"; fi
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  if [ -f /etc/ssl/certs/ca-certificates.crt ]; then cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"; fi
  cp "$HERE/images/run" "$root/run.sh"
}

# libraries FILE...: the shared libraries that these files of this machine ask for, at the same paths.
libraries() {
  local lib
  { ldd "$@" 2>/dev/null || true; } | { grep -o '/[^ ]*\.so[^ ]* (' || true; } | sort -u | while read -r lib _; do
    case $lib in "$root"/*) ;; *) cp -L --parents "$lib" "$root" ;; esac
  done
}

command_of() { cp -L "$CACHE/bin/$1" "$root/usr/local/bin/$1"; libraries "$CACHE/bin/$1"; }

# A Java runtime with the modules that the servers use, in /jre.
jre() {
  local home
  home=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")
  "$home/bin/jlink" --strip-debug --no-header-files --no-man-pages --output "$root/jre" --add-modules \
java.base,java.desktop,java.instrument,java.logging,java.management,java.naming,java.prefs,java.rmi,java.scripting,java.security.jgss,\
java.security.sasl,java.sql,java.xml,jdk.crypto.ec,jdk.jfr,jdk.management,jdk.naming.dns,jdk.unsupported,jdk.zipfs
  "$root/jre/bin/java" -Xshare:dump >/dev/null 2>&1
  libraries "$root"/jre/bin/java "$root"/jre/lib/lib{java,jimage,net,nio,zip,jli,verify,management}.so "$root/jre/lib/server/libjvm.so"
  ln -s /jre/bin/java "$root/usr/local/bin/java"
}

# make NAME: fills $root, and sets `change` to what the image says about itself.
make() {
  case $1 in
    consul)
      command_of consul
      mkdir -p "$root/consul/data" "$root/consul/config"
      cp "$HERE/images/consul-run" "$root/run.sh"
      change=('EXPOSE 8500 8600/udp 8301 8302 8300 8502' 'ENTRYPOINT ["/run.sh"]' 'CMD ["agent", "-dev", "-client", "0.0.0.0"]')
      ;;
    etcd)
      command_of etcd
      change=('EXPOSE 2379 2380' 'CMD ["etcd"]')
      ;;
    kube-apiserver)
      command_of kube-apiserver
      change=('EXPOSE 6443' 'ENTRYPOINT ["/run.sh", "kube-apiserver"]' 'CMD ["--help"]')
      ;;
    envoy)
      command_of envoy
      change=('EXPOSE 10000' 'ENTRYPOINT ["/run.sh", "envoy"]' 'CMD ["envoy", "-c", "/etc/envoy/envoy.yaml"]')
      ;;
    nats)
      command_of nats-server
      change=('EXPOSE 4222 8222 6222' 'ENTRYPOINT ["/run.sh", "nats-server"]' 'CMD ["nats-server", "--http_port", "8222"]')
      ;;
    zookeeper)
      jre
      cp -r "$CACHE/zookeeper" "$root/usr/local/"
      cp "$CACHE/bin/zookeeper-server" "$root/usr/local/bin/"
      mkdir -p "$root/data"
      cp "$HERE/images/zookeeper-run" "$root/run.sh"
      change=('EXPOSE 2181 2888 3888' 'ENTRYPOINT ["/run.sh"]' 'CMD ["zkServer.sh", "start-foreground"]')
      ;;
    eureka)
      jre
      mkdir -p "$root/usr/local/eureka"
      cp -r "$CACHE/eureka/lib" "$root/usr/local/eureka/"
      echo '/usr/local/eureka/lib/*' >"$root/usr/local/eureka/classpath"
      cp "$CACHE/bin/eureka-server" "$root/usr/local/bin/"
      change=('EXPOSE 8761' 'ENV EUREKA_ADDRESS=0.0.0.0' 'ENTRYPOINT ["/run.sh", "eureka-server"]')
      ;;
    node)
      cp "$(node -p 'process.execPath')" "$root/usr/local/bin/node"
      libraries "$root/usr/local/bin/node"
      change=('WORKDIR /app' 'CMD ["node"]')
      ;;
  esac
}

# one NAME: nothing if the image is there and made of the same things. A function of its own, run in a subshell.
one() {
  local name=$1 tag hash root have change=() args=() c
  tag=$(tag_of "$name")
  [ "$name" = node ] || [ -f "$CACHE/stamp/$name" ] || die "$tag: the binary is not in the cache, run get.sh $name"
  hash=$(image_hash "$name")
  have=$(docker image inspect --format '{{index .Config.Labels "isthmus.recipe"}}' "$tag" 2>/dev/null || true)
  if [ "$have" = "$hash" ]; then say "$tag: there"; return; fi
  busybox
  root=$(mktemp -d "$E/root.$name.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$root'" EXIT
  chmod 755 "$root"
  base
  make "$name"
  change+=('ENV PATH=/usr/local/bin:/bin' 'LABEL built=locally' "LABEL isthmus.recipe=$hash")
  for c in "${change[@]}"; do args+=(--change "$c"); done
  tar -C "$root" --owner=0 --group=0 -c . | docker import "${args[@]}" - "$tag" >/dev/null
  lap "$tag: made, $(docker image inspect --format '{{.Size}}' "$tag" | awk '{ printf "%.0f MB", $1 / 1e6 }'),"
}

images() {
  local name rc failed=()
  answers || die "the engine is not up, run engine.sh up"
  [ $# -gt 0 ] || set -- "${IMAGES[@]}"
  for name in "$@"; do
    [ -n "$(tag_of "$name")" ] || die "no image called '$name'; there are: ${IMAGES[*]}"
    set +e
    (set -e; start=$EPOCHREALTIME; one "$name")
    rc=$?
    set -e
    if [ "$rc" != 0 ]; then failed+=("$name"); fi
  done
  docker image prune --force --filter label=built=locally >/dev/null # what earlier makings of the same tags left
  [ ${#failed[@]} = 0 ] || die "failed: ${failed[*]}"
}

mkdir -p "$E"
exec 9>"$E/lock"
flock 9
case ${1:-} in
  up) up ;;
  images) shift; images "$@" ;;
  down) down ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
