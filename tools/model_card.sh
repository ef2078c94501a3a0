#!/usr/bin/env bash
# Writes the model card of a shipped translator: scores by direction and 50 outputs nobody selected.
#   tools/model_card.sh pretrained/en-ko            (uses ../shared/data where it exists)
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
model=${1:?usage: tools/model_card.sh MODEL_FOLDER}
examples=25 # of each direction

score() { # NAME FILE COLUMNS… : a table row for each direction
  local name=$1 file=$2 source=$3 target=$4 header=$5 to from
  [[ -e $file ]] || return 0
  for to in ko en; do
    if [[ $to == ko ]]; then from=("$source" "$target"); else from=("$target" "$source"); fi
    "${ATTEND:-./attend}" evaluate --model "$model" --data "$file" --source "${from[0]}" --target "${from[1]}" $header --to "$to" --json |
      python3 -c 'import json, sys
scores = json.load(sys.stdin)
print(*(scores[key] for key in sys.argv[1:]))' pairs loss bleu bleu_signature chrf chrf_signature |
      while read -r pairs loss bleu bleu_signature chrf chrf_signature; do
        printf '| %s | %s | %s | %.2f | %.2f | %.2f |\n' "$name" "$to" "$pairs" "$chrf" "$bleu" "$loss"
        printf '%s\n%s\n' "$bleu_signature" "$chrf_signature" >"$signatures"
      done
  done
}

examples_table() { # TO SOURCE_COLUMN REFERENCE_COLUMN
  printf '\n| source | attend | reference |\n| --- | --- | --- |\n'
  head -n "$examples" datasets/everyday_valid.tsv | cut -f "$2" | "${ATTEND:-./attend}" translate --model "$model" --to "$1" |
    paste <(head -n "$examples" datasets/everyday_valid.tsv | cut -f "$2") - <(head -n "$examples" datasets/everyday_valid.tsv | cut -f "$3") |
    sed -E 's/\|/\\|/g; s/\t/ | /g; s/^/| /; s/$/ |/'
}

signatures=$(mktemp)
trap 'rm -f "$signatures"' EXIT
{
  cat tools/model_card.md
  printf '\n## Scores\n| set | to | pairs | chrF | BLEU | loss |\n| --- | --- | --- | --- | --- | --- |\n'
  score 'everyday_valid (the measure)' datasets/everyday_valid.tsv 1 2 ''
  score 'valid (documentation)' ../shared/data/enko/valid.tsv en ko --header
  score 'FLORES dev' ../shared/data/enko/flores-dev.tsv en ko --header
  printf '\nBLEU signature `%s`, chrF signature `%s`. Loss: nats per token, no label smoothing.\n' "$(sed -n 1p "$signatures")" "$(sed -n 2p "$signatures")"
  printf '\n## Outputs\nThe first %d pairs of `datasets/everyday_valid.tsv`, in order, in both directions, with the default options.\n' "$examples"
  examples_table ko 1 2
  examples_table en 2 1
} >"$model/README.md.new"
mv "$model/README.md.new" "$model/README.md"
