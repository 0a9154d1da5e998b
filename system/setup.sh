# shellcheck shell=bash
# What every command under system/ needs before it can begin; sourced with the checkout as the working directory.
#   set_up demo|test     Debian packages, uv, the locked Python packages, our own package, the model pack
#   set_up_uv            uv alone
# Only what is missing is fetched, so that a second run works without a network and takes no time. Everything but the Debian
# packages stays inside the checkout: .cache/boot (uv), .venv (Python), models/*/weights (made from a locked package).

PYTHON=/usr/bin/python3       # Debian's own: its headers come from python3-dev
UV=.cache/boot/bin/uv

debian_for() {   # demo|test
  # pyscard is published for Linux as source only: the first line compiles it.
  echo gcc libc6-dev libpcsclite-dev pkg-config python3-dev
  echo python3-venv pcscd vsmartcard-vpcd mosquitto fonts-noto-cjk fonts-noto-core
  if [ "$1" = test ]; then echo postgresql chromium xvfb xdotool nats-server nftables iproute2 strace faketime; fi
}

say() { echo "set-up: $*" >&2; }

give_up() {   # WHAT HAPPENED, WHAT TO DO
  echo "set-up stopped: $1" >&2
  echo "  $2" >&2
  exit 1
}

set_up() {   # demo|test
  local what=$1
  check_system
  # shellcheck disable=SC2046  # one word a package is meant
  set_up_debian $(debian_for "$what")
  set_up_uv
  set_up_python "$what"
  set_up_models
}

check_system() {
  local id='' version=''
  # shellcheck source=/dev/null
  [ -r /etc/os-release ] && { id=$(. /etc/os-release; echo "${ID:-}${ID_LIKE:+ $ID_LIKE}"); version=$(. /etc/os-release; echo "${VERSION_ID:-}"); }
  case "$id" in
    *debian* | *raspbian*) ;;
    *) give_up "this system is not a Debian (${id:-no /etc/os-release})." "Use Debian 12 or 13, or Raspberry Pi OS of the same age." ;;
  esac
  [ -x "$PYTHON" ] || give_up "there is no $PYTHON." "Run: apt-get install python3"
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    give_up "$PYTHON is older than 3.11 (system version ${version:-unknown})." "Use Debian 12 or 13, or Raspberry Pi OS of the same age."
}

# --- Debian packages

set_up_debian() {   # PACKAGE...
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  local root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || give_up "Debian packages are missing, and only root may install them." "As root: apt-get install --no-install-recommends ${missing[*]}"
    root=(sudo)
  fi
  say "installing Debian packages: ${missing[*]}"
  "${root[@]}" bash system/setup_debian.sh "${missing[@]}" ||
    give_up "the Debian packages ${missing[*]} could not be installed (the reason stands above)." \
      "Check the network and the system's package sources, then run this again."
}

# --- uv

python_of() { "$1" -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null || true; }

stamp_of() {   # FILE...: one word that changes when any of the files, or Python's minor version, does
  { python_of "$PYTHON"; cat "$@"; } | sha256sum | cut -c1-16
}

set_up_uv() {
  local stamp; stamp=$(stamp_of system/locks/uv.txt)
  [ "$(cat .cache/boot/stamp 2>/dev/null)" = "$stamp" ] && return
  say "installing uv"
  rm -rf .cache/boot
  "$PYTHON" -m venv .cache/boot
  .cache/boot/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r system/locks/uv.txt ||
    give_up "uv could not be installed (the reason stands above)." "Check the network, then run this again."
  echo "$stamp" >.cache/boot/stamp
}

# --- Python packages

set_up_python() {   # demo|test
  local what=$1 wanted; declare -A stamps
  stamps[test]="test $(stamp_of system/locks/{test,build}.txt pyproject.toml system/setup.sh)"
  stamps[demo]="demo $(stamp_of system/locks/{demo,build}.txt pyproject.toml system/setup.sh)"
  wanted=$(cat .venv/stamp 2>/dev/null || true)
  # What the tests need holds all that the demo needs.
  [ "$wanted" = "${stamps[test]}" ] && return
  [ "$wanted" = "${stamps[$what]}" ] && return
  say "installing the locked Python packages ($what)"
  [ "$(python_of .venv/bin/python)" = "$(python_of "$PYTHON")" ] || "$UV" venv --quiet --clear --python "$PYTHON" .venv
  rm -f .venv/stamp
  local options=(--quiet --python .venv/bin/python --require-build-hashes --build-constraints system/locks/build.txt)
  if ! "$UV" pip sync "${options[@]}" --require-hashes "system/locks/$what.txt" ||
    ! "$UV" pip install "${options[@]}" --no-deps --editable .; then
    give_up "the Python packages could not be installed (the reason stands above)." "Check the network, then run this again."
  fi
  echo "${stamps[$what]}" >.venv/stamp
}

# --- Model pack

set_up_models() {   # the command itself checks every file against its hash and makes only what is missing or wrong
  [ -d models/dlib/weights ] || say "making the face model from its published weights"
  .venv/bin/python -m models build dlib >/dev/null ||
    give_up "the face model could not be made (the reason stands above)." "Remove .venv and run this again; if it stays so, the package or its conversion has changed."
}
