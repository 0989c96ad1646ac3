# shellcheck shell=bash disable=SC2034
# The peer of `npm run bench -- xds-path`: Istio's control plane, which reads a kube-apiserver. Only run by benches.
version=1.31-20260827
makes=(bin/pilot-discovery)
build() { go_build pilot-discovery istio.io/istio/pilot/cmd/pilot-discovery; }
verify() { grep -F "istio.io/istio v0.0.0-${version#*-}" go.mod; }
