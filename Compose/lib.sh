# shellcheck shell=bash
# What the scripts of this folder share. Sourced from the repository's root.

swift_needed=6.2
# Debian packages, each with a command that succeeds where it is not needed any more.
declare -A debian_packages=(
  [libhiredis-dev]='test -e /usr/include/hiredis/hiredis.h'
  [libssl-dev]='test -e /usr/include/openssl/ssl.h'
  [openssl]='command -v openssl'
  [redis-server]='command -v redis-server'
  [libzstd-dev]='test -e /usr/include/zstd.h'
  [liblzma-dev]='test -e /usr/include/lzma.h'
  [libbrotli-dev]='test -e /usr/include/brotli/decode.h'
  [zlib1g-dev]='test -e /usr/include/zlib.h'
  [librdkafka-dev]='test -e /usr/include/librdkafka/rdkafka.h'
  [libpq-dev]='test -e /usr/include/postgresql/libpq-fe.h'
  [libsqlite3-dev]='test -e /usr/include/sqlite3.h'
  [postgresql-15]='test -e /usr/lib/postgresql/15/bin/postgres'
  [kcat]='command -v kcat'
  [prometheus]='command -v promtool'
  [zstd]='command -v zstd'
  [tzdata]='test -e /usr/share/zoneinfo/Europe/Berlin'
  [python3-venv]='python3 -c "import venv, ensurepip"'
)

# What a build needs.
build_packages=(libhiredis-dev librdkafka-dev libssl-dev libzstd-dev libbrotli-dev liblzma-dev zlib1g-dev libpq-dev libsqlite3-dev)

step() { printf '\n== %s\n' "$*"; }
fail() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }

check_swift() {
  command -v swift > /dev/null \
    || fail "no swift on the PATH: install Swift $swift_needed or later from https://www.swift.org/install"
  local version
  version=$(swift --version 2> /dev/null | sed -nE 's/.*Swift version ([0-9]+\.[0-9]+).*/\1/p' | head -n 1)
  [[ "$(printf '%s\n' "$swift_needed" "$version" | sort -V | head -n 1)" == "$swift_needed" ]] \
    || fail "Swift ${version:-of unknown version} is too old: install $swift_needed or later from https://www.swift.org/install"
}

# install_debian_packages NAME...: installs those that are missing.
install_debian_packages() {
  local missing=() package as_root=()
  for package in "$@"; do
    bash -c "${debian_packages[$package]}" > /dev/null 2>&1 || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  step "installing ${missing[*]}"
  [[ $EUID -eq 0 ]] || as_root=(sudo)
  command -v apt-get > /dev/null && command -v "${as_root[@]:-true}" > /dev/null \
    || fail "cannot install packages here: install ${missing[*]} (Debian's names) and run this again"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
