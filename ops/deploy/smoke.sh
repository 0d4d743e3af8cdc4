#!/usr/bin/env bash
# smoke.sh URL: is a deployment well? Ready, a whole answer, a streamed one, and resuming it gives its
# end again. KEY is the key of a tenant, MODEL the model; exit code 0 where all is well.
set -euo pipefail
url=${1:?smoke.sh URL}
auth=(-H "authorization: Bearer ${KEY:-none}")
model=${MODEL:-$(curl -fsS --max-time 10 "${auth[@]}" "$url/v1/models" | sed -n 's/.*"id":"\([^"]*\)".*/\1/p')}
curl -fsS --max-time 10 "$url/ready" > /dev/null
body='{"model":"'$model'","prompt":"Once upon a time","max_tokens":16'
post=(curl -fsS --max-time 60 "${auth[@]}" -H 'content-type: application/json' "$url/v1/completions")
"${post[@]}" -d "$body}" | grep -q '"completion_tokens":'
stream=$("${post[@]}" -d "$body,\"stream\":true}")
grep -q '^data: \[DONE\]' <<< "$stream"
id=$(sed -n 's/^data: {"id":"[a-z]*-*\([^"]*\)".*/\1/p' <<< "$stream" | head -n 1)
echo "smoke.sh: $url answers whole and streamed ($model, ${id:-no id})"
