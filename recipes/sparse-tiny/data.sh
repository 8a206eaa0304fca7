#!/usr/bin/env bash
# Training rows and IDF table of the sparse encoders, from the collections in DATA.
#
# usage: recipes/sparse-tiny/data.sh DATA        (from the root of the repository)
set -euo pipefail

data=$1
out=build/sparse-tiny
mkdir -p "$out"

# What is measured later is left out of the questions.
evaluated=()
for set in nfcorpus nq_wiki_pool medquad squad_dev cranfield; do
  evaluated+=(--not-in "$data/$set")
done

# Hard negatives are what the untrained model finds: splade-tiny with weights of the corpus.
mine() { # SET QUERIES
  [ -f "$out/$1.jsonl.gz" ] || siftline mine examples/beir --profile sparse-idf --data "$data/$1" \
    --index "$out/index/$1" --queries "$2" --negatives 14 --sample random --depth 60 \
    --out "$out/$1.jsonl.gz" "${evaluated[@]}"
}
mine squad_train 16000
mine nq_qed 16000
mine medquad 16000

[ -f "$out/idf.json" ] || siftline idf build "$data/squad_train" "$data/nq_qed" "$data/medquad" \
  --tokenizer splade-tiny --out "$out/idf.json"
