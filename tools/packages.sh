# For ./attend and ./check, which source this file: installs the Debian packages that are missing.
# install_packages ROOT LOG GROUP... returns when everything in the groups of tools/packages.txt is there, else says why
# not and fails. It asks once on a terminal; with ATTEND_YES=1, or as root without a terminal, it goes ahead.

install_packages() {
  local root=$1 log=$2 line group missing=() wanted=() installed sudo=()
  shift 2
  while read -r line; do
    for group in "$@"; do
      # shellcheck disable=SC2206 -- split into words
      if [[ $line == "$group: "* ]]; then wanted+=(${line#*: }); fi
    done
  done <"$root/tools/packages.txt"

  if command -v dpkg-query >/dev/null; then
    installed=" $(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^[ih]i *//p' | tr '\n' ' ')"
    for line in "${wanted[@]}"; do
      [[ $installed == *" $line "* ]] || missing+=("$line")
    done
  elif ! command -v g++ >/dev/null || ! command -v cmake >/dev/null || ! command -v ninja >/dev/null; then
    missing=("${wanted[@]}")  # not a Debian: what else is missing, cmake will say
  fi
  if ((${#missing[@]} == 0)); then return 0; fi

  if ! command -v apt-get >/dev/null; then
    echo "attend: there is no apt-get here to install what is missing. Install the like of these Debian packages and try again:" >&2
    printf '  %s\n' "${missing[@]}" >&2
    return 1
  fi
  echo "attend: these packages are missing: ${missing[*]}" >&2
  if [[ ${ATTEND_YES:-} != 1 ]]; then
    if [[ -t 2 && (-t 0 || $EUID != 0) ]] && : 2>/dev/null </dev/tty; then
      local answer=
      read -r -p "attend: install them with apt? [Y/n] " answer </dev/tty || answer=n
      if [[ -n $answer && $answer != [yY]* ]]; then
        echo "attend: nothing installed; by hand: apt-get install ${missing[*]}" >&2
        return 1
      fi
    elif [[ $EUID != 0 ]]; then
      echo "attend: there is no terminal to ask on: say --yes, or set ATTEND_YES=1, or: apt-get install ${missing[*]}" >&2
      return 1
    fi
  fi
  if [[ $EUID != 0 ]]; then
    if ! command -v sudo >/dev/null; then
      echo "attend: only root can install packages and sudo is not here; as root: apt-get install ${missing[*]}" >&2
      return 1
    fi
    sudo=(sudo)
  fi

  echo "attend: installing ${#missing[@]} packages" >&2
  mkdir -p "$(dirname "$log")"
  # A repository that does not answer need not be one that we need: only the installation decides.
  "${sudo[@]}" apt-get update >"$log" 2>&1 </dev/null || true
  if ! "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    echo "attend: apt-get could not install the packages; everything it said is in $log" >&2
    return 1
  fi
}
