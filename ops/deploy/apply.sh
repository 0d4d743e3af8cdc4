#!/usr/bin/env bash
# apply.sh REGISTRY TAG [canary]: rolls an image out and waits; `canary` stops after one gateway. What
# does not get ready in time is undone. The cluster is that of KUBECONFIG_TEXT or of kubectl itself.
set -euo pipefail
registry=${1:?registry} tag=${2:?tag} stage=${3:-all}
if [ -n "${KUBECONFIG_TEXT:-}" ]; then
  KUBECONFIG=$(mktemp)
  export KUBECONFIG
  trap 'rm -f "$KUBECONFIG"' EXIT
  printf '%s' "$KUBECONFIG_TEXT" > "$KUBECONFIG"
fi
k() { kubectl -n sluice "$@"; }
roll() {
  k set image "deployment/$1" "sluice=$registry/$2:$tag"
  k rollout status "deployment/$1" --timeout=15m || { k rollout undo "deployment/$1"; return 1; }
}
if [ "$stage" = canary ]; then
  k set image deployment/gateway "sluice=$registry/sluice:$tag"
  k rollout pause deployment/gateway
  exit
fi
k rollout resume deployment/gateway 2> /dev/null || true
roll worker "${WORKER_IMAGE:-sluice}"
roll relay sluice
roll gateway sluice
