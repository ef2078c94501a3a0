# For ./attend, which sources this file: builds the command into build/. Uses its ATTEND_HOME, build, binary, stamp, fresh.
. "$ATTEND_HOME/tools/packages.sh"

# Runs a command into the log; on a terminal its last line is shown, in place. Fails with the end of the log.
logged() {
  local log=$build/attend.log line
  if [[ -t 2 ]]; then
    if "$@" 2>&1 </dev/null | while IFS= read -r line; do
      printf '%s\n' "$line" >>"$log"
      printf '\r\033[Kattend: building %.60s' "$line" >&2
    done; then
      printf '\r\033[K' >&2
      return 0
    fi
    printf '\r\033[K' >&2
  elif "$@" >>"$log" 2>&1 </dev/null; then
    return 0
  fi
  tail -n 30 "$log" >&2
  echo "attend: the build failed; everything it said is in $log" >&2
  exit 1
}

build_attend() {
  set -o pipefail
  mkdir -p "$build" 2>/dev/null && [[ -w $build ]] || {
    echo "attend: cannot write to $build" >&2
    exit 1
  }
  # One build at a time. Whoever waited may find the work done. The lock ends here: a server started later must not hold it.
  if command -v flock >/dev/null; then
    exec 9>"$build/.lock"
    if ! flock -n 9; then
      echo "attend: waiting for another build to end" >&2
      flock 9
    fi
  fi
  if ! fresh; then
    install_packages "$ATTEND_HOME" "$build/packages.log" build || exit 1
    # A build folder that came along with a moved or copied project knows the old place: start anew.
    if [[ -e $build/CMakeCache.txt ]] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$ATTEND_HOME" "$build/CMakeCache.txt"; then
      rm -rf "$build/CMakeCache.txt" "$build/CMakeFiles"
    fi
    local options=()
    if [[ ! -e $build/CMakeCache.txt ]]; then  # what a developer chose for build/ stays
      options=(-G Ninja -DCMAKE_BUILD_TYPE=Release -DATTEND_BUILD_TESTS=OFF -DATTEND_WARNINGS_AS_ERRORS=OFF)
    fi
    if [[ ! -e $stamp && ! -t 2 ]]; then echo "attend: building; the first time takes a few minutes" >&2; fi
    : >"$build/attend.log"
    touch "$stamp.new"  # as of now: a change during the build counts
    logged cmake -S "$ATTEND_HOME" -B "$build" "${options[@]}"
    NINJA_STATUS='[%f/%t] ' logged cmake --build "$build" --target attend_cli
    mv "$stamp.new" "$stamp"
  fi
  exec 9>&-
}
