#!/bin/sh
# Installs what the build and the tests need and this machine lacks: Debian packages (with apt, as root) and the npm
# packages of the lockfile. Quick when nothing is missing. Nothing that it installs runs as a service.
set -eu
cd "$(dirname "$0")/../.."
cache=${TS_OVERLAY_CACHE_DIR:-/var/cache/ts-overlay}

# Command, and the Debian package that has it.
wanted='
  npm:npm
  debootstrap:debootstrap
  ip:iproute2
  ping:iputils-ping
  nft:nftables
  strip:binutils
  flock:util-linux
'

has() {
  PATH="$PATH:/usr/sbin:/sbin" command -v "$1" > /dev/null 2>&1
}

is_root() {
  [ "$(id -u)" = 0 ]
}

missing=''
for pair in $wanted; do
  has "${pair%%:*}" || missing="$missing ${pair#*:}"
done

# Ubuntu's debootstrap does not bring the keys of Debian's archive.
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring"

if [ -n "$missing" ]; then
  if ! has apt-get; then
    echo "setup: this machine has no apt; install by hand what provides:$missing" >&2
  elif ! is_root; then
    echo "setup: not root, so not installed:$missing (tests that need them are skipped)" >&2
  else
    echo "setup: installing$missing"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing > /dev/null
  fi
fi

# The other libc, for resolvers that are asked by a program of it.
if has gcc && ! has musl-gcc && has apt-get && is_root; then
  echo 'setup: installing musl'
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends musl-tools > /dev/null 2>&1 ||
    echo 'setup: apt has no musl here; one test of names is skipped' >&2
fi

# The virtual machine of the level `kernels`, which is skipped without it.
if [ "$(uname -m)" = x86_64 ] && ! has qemu-system-x86_64 && has apt-get && is_root; then
  echo 'setup: installing qemu, for tests on stock kernels'
  emulator='qemu-system-x86 qemu-system-common busybox-static kmod xz-utils'
  apt_get() { DEBIAN_FRONTEND=noninteractive apt-get "$@" > /dev/null 2>&1; }
  # shellcheck disable=SC2086
  apt_get install -qq -y --no-install-recommends $emulator ||
    { apt_get update -qq && apt_get install -qq -y --no-install-recommends $emulator; } ||
    echo 'setup: apt has no qemu here; the tests on stock kernels are skipped' >&2
fi

# The browser of the tests of the page, which are skipped without it.
if ! has chromium && has apt-get && is_root; then
  echo 'setup: installing chromium, for tests of the page'
  browser() { DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium > /dev/null 2>&1; }
  browser || { apt-get update -qq && browser; } ||
    echo 'setup: apt has no chromium here; the tests of the page are skipped' >&2
fi

# Packages that start a service when they are installed: only their programs are unpacked.
# unpack PROGRAM PACKAGE
unpack() {
  if has "$1" || [ -x "$cache/tools/usr/bin/$1" ] || ! has apt-get || ! is_root; then return; fi
  echo "setup: fetching $1, for tests"
  mkdir -p "$cache/tools"
  download=$(mktemp -d)
  if (cd "$download" && apt-get download -qq "$2" 2> /dev/null) || {
    apt-get update -qq && (cd "$download" && apt-get download -qq "$2" 2> /dev/null)
  }; then
    dpkg --extract "$download/$2"_*.deb "$cache/tools"
  else
    echo "setup: apt has no package $2 here; the tests with $1 are skipped" >&2
  fi
  rm -rf "$download"
}
unpack serf serf
unpack promtool prometheus

# Whether node_modules is what the lockfile says: npm writes the first of these files last, this script the second.
is_installed() {
  [ -e node_modules/.package-lock.json ] || return 1
  cmp -s package-lock.json node_modules/.installed || [ ! package-lock.json -nt node_modules/.package-lock.json ]
}

if ! is_installed; then
  has npm || {
    echo 'setup: no npm; install Node.js with npm (any version: the right Node comes with the packages)' >&2
    exit 1
  }
  echo 'setup: npm ci'
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  cp package-lock.json node_modules/.installed
fi

if [ ! -x node_modules/.bin/node ]; then
  echo "setup: node_modules has no Node for $(uname -sm); Linux on x64 or arm64 is needed" >&2
  exit 1
fi
