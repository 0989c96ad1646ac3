# shellcheck shell=bash disable=SC2034
# Two commands of one module: kube-apiserver, and on demand kube-controller-manager.
# shellcheck disable=SC2154
command=$name
version=1.36.3
makes=("bin/$command")
build() {
  local v=k8s.io/component-base/version
  # Without these clients see v0.0.0-master and refuse some calls.
  go_build "$command" "k8s.io/kubernetes/cmd/$command" \
    "-X $v.gitVersion=v$version -X $v.gitMajor=1 -X $v.gitMinor=36 -X $v.gitTreeState=archive -X $v.gitCommit=unknown -X $v.buildDate=1970-01-01T00:00:00Z"
}
verify() { "$OUT/bin/$command" --version | grep -F "v$version"; }
