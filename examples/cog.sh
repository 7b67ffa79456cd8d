#!/bin/sh
# Paints a punk with Cog and Docker on this machine, and saves its pictures: examples/cog.sh [FILE]
# `-i` takes seeds below 2^31; for larger ones: cog predict --json '{"prompt": "lady", "seed": 4294967295}'
set -eu
file=${1:-punk.png}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
cog predict -i prompt="lady, red hair, green eyes" -i seed=7 -o "$answer"

# Cog saves files that are the whole output, not those inside an object: they are data: URLs in the JSON
python3 - "$answer" "$file" <<'PYTHON'
import base64, json, os, sys
answer, file = sys.argv[1:]
with open(answer) as opened:
    output = json.load(opened)
output = output.get("output", output)  # with --json, Cog writes the whole prediction
stem, extension = os.path.splitext(file)
for kind, name in (("images", file), ("pixels", f"{stem}-24{extension}")):
    with open(name, "wb") as opened:
        opened.write(base64.b64decode(output[kind][0].partition(",")[2]))
print(file, output["seeds"][0], *output["palettes"][0].split(",")[:6])
PYTHON
