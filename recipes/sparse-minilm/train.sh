#!/usr/bin/env bash
# A sparse encoder from a dense one, trained on the same rows as the one that Siftline ships.
#
# usage: recipes/sparse-minilm/train.sh DATA      (from the root of the repository)
set -euo pipefail

recipes/sparse-tiny/data.sh "$1"
siftline train recipes/sparse-minilm/train.yaml
siftline models export build/sparse-minilm/run/final_model --out build/sparse-minilm/onnx \
  --quantize int8
