#!/bin/sh
# A punk with Cog and Docker on this machine: it builds the image, starts it and saves the files.
set -eu
cog predict -i prompt="lady, red hair, green eyes, blue solid background" -i seed=7 -o punk.json
