#!/usr/bin/env bash
# netns.sh CMD...   run CMD in a private network namespace that has the pod addresses 10.244.0.11 to .30 on lo.
# Kubernetes refuses loopback addresses in EndpointSlices, so tests whose traffic flows to pods run in here.
# Nothing can leave the namespace, and it goes away with CMD. Needs root.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: netns.sh CMD..." >&2; exit 2; }
# shellcheck disable=SC2016
exec unshare --net bash -euc '
  ip link set lo up
  for i in {11..30}; do ip address add "10.244.0.$i/32" dev lo; done
  exec "$@"' netns "$@"
