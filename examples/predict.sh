#!/bin/sh
# A punk over HTTP with curl: examples/predict.sh http://127.0.0.1:5000 punk.png
set -eu
url=${1:-http://127.0.0.1:5000}
file=${2:-punk.png}
curl -sS --fail-with-body --retry 30 --retry-delay 1 --retry-all-errors "$url/predictions" \
  -H 'Content-Type: application/json' \
  -d '{"input": {"prompt": "lady, red hair, green eyes", "seed": 7}}' \
  | python3 -c '
import base64, json, sys
answer = json.load(sys.stdin)
if answer["status"] != "succeeded":
    sys.exit(answer["error"])
open(sys.argv[1], "wb").write(base64.b64decode(answer["output"]["images"][0].partition(",")[2]))
print(sys.argv[1], answer["output"]["seeds"][0], *answer["output"]["palettes"][0].split(",")[:6])
' "$file"
