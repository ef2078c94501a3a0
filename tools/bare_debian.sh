#!/usr/bin/env bash
# Shows that a stranger's two commands work: makes a bare Debian 12 in a temporary folder, clones the last commit into it,
# and runs there, as root in a chroot, ./attend translate (twice) and ./check. Prints how long each took.
#   tools/bare_debian.sh [--full] [--keep]     --full: ./check --full; --keep: leave the folder
# Takes root, debootstrap, and the network for Debian's packages, which come from where this machine's apt gets them.
set -euo pipefail
project=$(dirname "$(dirname "$(readlink -f "$0")")")
check=(./check) keep=0
for argument in "$@"; do
  case $argument in
    --full) check=(./check --full) ;;
    --keep) keep=1 ;;
    *) echo "usage: tools/bare_debian.sh [--full] [--keep]" >&2; exit 2 ;;
  esac
done
[[ $EUID == 0 ]] || { echo "bare_debian: only root can make a Debian" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "bare_debian: apt-get install debootstrap" >&2; exit 1; }

root=$(mktemp -d -t bare-debian-XXXXXX)
if ((keep)); then
  trap 'echo "left in $root"' EXIT
else
  trap 'rm -rf --one-file-system "$root"' EXIT
fi

timed() {  # NAME COMMAND...
  local name=$1 start
  shift
  printf '\n=== %s\n' "$name"
  start=$(date +%s%N)
  "$@" || { echo "bare_debian: FAILED: $name" >&2; exit 1; }
  printf '=== %s: %d.%03d s\n' "$name" $((($(date +%s%N) - start) / 1000000000)) $((($(date +%s%N) - start) / 1000000 % 1000))
}
# A namespace of its own: the mount goes away with the command. No standard input, so nobody is asked.
inside() {
  unshare --mount bash -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" \
    env -i HOME=/ PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb \
    "${environment[@]}" bash -c 'cd /attend && exec "$@"' bash "$@" </dev/null
}

# Where this machine's packages come from: mirror, sources, proxy.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 2>/dev/null | grep -v security | head -n 1 || true)
environment=()
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL; do
  if [[ -n ${!name:-} ]]; then environment+=("$name=${!name}"); fi
done

timed 'debootstrap' debootstrap --variant=minbase bookworm "$root" "${mirror:-http://deb.debian.org/debian}" >"$root.log" 2>&1 ||
  { tail -n 5 "$root.log" >&2; exit 1; }
tail -n 1 "$root.log"
rm -f "$root.log"
cp /etc/resolv.conf "$root/etc/resolv.conf"
if [[ -e /etc/apt/sources.list.d/debian.sources ]]; then
  cp /etc/apt/sources.list.d/debian.sources "$root/etc/apt/sources.list.d/"
  : >"$root/etc/apt/sources.list"
elif [[ -s /etc/apt/sources.list ]]; then
  cp /etc/apt/sources.list "$root/etc/apt/sources.list"
fi
apt-config dump 2>/dev/null | grep -iE '^Acquire::(http|https)::Proxy|^Acquire::Check-' >"$root/etc/apt/apt.conf.d/90from-this-machine" || true

if [[ -n ${PIP_CERT:-} ]]; then  # for ./check --full
  cp "$PIP_CERT" "$root/registry.crt"
  environment+=(PIP_CERT=/registry.crt)
fi

git -c safe.directory='*' clone --quiet "$project" "$root/attend"
timed 'first translation: installs, builds, answers' inside ./attend translate 'What is your name?'
timed 'second translation' inside ./attend translate 'What is your name?'
timed "${check[*]}" inside "${check[@]}"
