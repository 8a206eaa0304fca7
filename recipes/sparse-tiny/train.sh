#!/usr/bin/env bash
# The sparse encoder that Siftline ships: from the collections in DATA to its files.
#
# usage: recipes/sparse-tiny/train.sh DATA        (from the root of the repository)
set -euo pipefail

recipes/sparse-tiny/data.sh "$1"
siftline train recipes/sparse-tiny/train.yaml
siftline models export build/sparse-tiny/run/final_model --out build/sparse-tiny/onnx
