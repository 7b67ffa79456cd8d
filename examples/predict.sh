#!/bin/sh
# Paints a punk over HTTP with curl: examples/predict.sh [URL [FILE]]
set -eu
url=${1:-http://127.0.0.1:5000}
file=${2:-punk.png}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# 409: the server is painting for somebody else
while
  status=$(curl -sS -o "$answer" -w '%{http_code}' "$url/predictions" -H 'Content-Type: application/json' \
    -d '{"input": {"prompt": "lady, red hair, green eyes", "seed": 7}}')
  [ "$status" = 409 ]
do
  if curl -sS "$url/health-check" | grep -q '"status":"\(UNHEALTHY\|DEFUNCT\)"'; then
    echo "the server is unhealthy; start it again" >&2
    exit 1
  fi
  sleep 0.5
done

python3 - "$status" "$answer" "$file" <<'PYTHON'
import base64, json, sys
status, answer, file = sys.argv[1:]
with open(answer) as opened:
    answer = json.load(opened)
if answer.get("status") != "succeeded":
    sys.exit(f"{status}: {answer.get('error') or answer.get('detail')}")
output = answer["output"]
with open(file, "wb") as opened:
    opened.write(base64.b64decode(output["images"][0].partition(",")[2]))
print(file, output["seeds"][0], *output["palettes"][0].split(",")[:6])
PYTHON
