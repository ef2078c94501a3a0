# commands.sh BINARY PAGE.md...: holds the commands of Markdown pages to the program. In a ```console block each "$ command"
# with ./attend is run and must print the lines under it ("…" stands for anything, lines too). In a ```sh block, which may
# train for hours, each ./attend command must exist and know its --flags.
set -uo pipefail
binary=$1 root=$PWD failures=0 checked=0
shift
export ATTEND_HOME=$root
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for entry in "$root"/*; do ln -s "$entry" "$work/"; done  # what a command writes goes away with the folder
cd "$work" || exit 1
rm -f attend
ln -s "$binary" attend

wrong() {
  printf '%s\n' "$@"
  failures=$((failures + 1))
}

check_output() {  # PLACE COMMAND EXPECTED
  local output pattern
  [[ $2 == *./attend* ]] || return 0
  checked=$((checked + 1))
  output=$(bash -o pipefail -c "$2" 2>&1 </dev/null) || { wrong "$1: fails: $2" "$output"; return; }
  pattern=$(printf '%s' "$3" | sed 's/[][*?\\]/\\&/g; s/…/*/g')
  # shellcheck disable=SC2053 -- a pattern
  [[ $output == $pattern ]] || wrong "$1: $2" "prints:" "$output" "and not:" "$3"
}

check_flags() {  # PLACE LINE
  local command help flag words
  [[ $2 =~ \./attend\ +([^\|\>\#]*) ]] || return 0
  command=${BASH_REMATCH[1]}
  read -r -a words <<<"$command"
  if [[ ${words[0]:-} == --yes ]]; then words=("${words[@]:1}"); fi
  ((${#words[@]})) || return 0
  checked=$((checked + 1))
  local subcommand=("${words[0]}")
  if [[ ${words[0]} == -* ]]; then subcommand=(); fi
  if [[ ${words[*]} == "tokenizer train"* ]]; then subcommand=(tokenizer train); fi
  help=$(./attend "${subcommand[@]}" --help 2>&1) || { wrong "$1: no such command: $command"; return; }
  for flag in $(grep -oE -- '(^| )--[a-z][a-z-]*' <<<"$command"); do
    grep -qE -- "$flag([^a-z-]|$)" <<<"$help" || wrong "$1: no such flag: $flag in: $command"
  done
}

for page in "$@"; do
  block='' number=0 command='' expected='' place=''
  while IFS= read -r line || [[ -n $line ]]; do
    number=$((number + 1))
    if [[ $line == '```'* ]]; then
      if [[ $block == console && -n $command ]]; then check_output "$place" "$command" "${expected%$'\n'}"; fi
      command=''
      if [[ -n $block ]]; then block=''; else block=${line#'```'}; block=${block:-text}; fi
    elif [[ $block == console && $line == '$ '* ]]; then
      if [[ -n $command ]]; then check_output "$place" "$command" "${expected%$'\n'}"; fi
      command=${line#'$ '} expected='' place=${page#"$root/"}:$number
    elif [[ $block == console ]]; then
      expected+=$line$'\n'
    elif [[ $block == sh || $block == bash ]]; then
      check_flags "${page#"$root/"}:$number" "$line"
    fi
  done <"$page"
done
printf '%d commands checked, %d wrong\n' "$checked" "$failures"
((failures == 0 && checked > 0))
