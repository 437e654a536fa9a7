#!/usr/bin/env bash
# Make .venv for running Sealward (run) or for working on it (dev).
# Use: scripts/setup.sh run|dev      PYTHON=... picks the interpreter.
set -euo pipefail

kind=${1:-}
case $kind in
    run | dev) ;;
    *) echo "Use: scripts/setup.sh run|dev" >&2; exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec 9<scripts/setup.sh
flock 9 # one set-up at a time

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }
trap 'die "interrupted; run it again"' INT TERM

retry() {
    local try
    for try in 1 2 3; do
        if "$@"; then return; fi
        if ((try < 3)); then say "failed, trying again in $((try * 3)) s"; sleep $((try * 3)); fi
    done
    die "gave up after 3 tries: $*"
}

# Print the real path of interpreter $1 if it is 3.11 or newer, makes virtual environments and has headers.
usable() {
    "$1" - 2>/dev/null <<'PY'
import os, sys, sysconfig
assert sys.version_info >= (3, 11)
import ensurepip, venv
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
print(os.path.realpath(sys.executable))
PY
}

find_python() {
    local name
    if [[ -n ${PYTHON:-} ]]; then usable "$PYTHON"; return; fi
    for name in python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
        if usable "$name"; then return; fi
    done
    return 1
}

# Install those of the named Debian packages that are missing.
need() {
    local package missing=() root=()
    if ! command -v dpkg-query >/dev/null; then
        say "not Debian: taking for granted the counterparts of $*"
        return
    fi
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed* ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        command -v sudo >/dev/null || die "missing; as root: apt-get install --no-install-recommends ${missing[*]}"
        root=(sudo)
    fi
    say "installing Debian packages: ${missing[*]}"
    root+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq)
    retry "${root[@]}" update
    retry "${root[@]}" install -y --no-install-recommends "${missing[@]}"
}

# Do the same without the services of the packages being started.
quietly() {
    local policy=/usr/sbin/policy-rc.d
    if ((EUID != 0)) || [[ -e $policy ]]; then "$@"; return; fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    "$@"
    rm -f "$policy"
    trap - EXIT
}

# Keep Debian's stock kernel in the cache, for guests of the tests: installing it would make this machine boot it.
fetch_kernel() {
    local cache=${XDG_CACHE_HOME:-$HOME/.cache}/sealward package
    if ! command -v apt-get >/dev/null || compgen -G "$cache/kernel/boot/vmlinuz-*" >/dev/null; then return; fi
    package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ {print $2; exit}')
    if [[ -z $package ]]; then say "no linux-image-cloud-amd64 here: guests cannot boot"; return; fi
    say "fetching $package into $cache"
    rm -rf "$cache/kernel" "$cache/kernel.part"
    mkdir -p "$cache/kernel.part"
    (cd "$cache/kernel.part" && retry apt-get -qq download "$package") 2>/dev/null
    dpkg-deb --fsys-tarfile "$cache/kernel.part/"*.deb | tar -x -C "$cache/kernel.part" --wildcards './boot/vmlinuz-*'
    rm "$cache/kernel.part/"*.deb
    mv "$cache/kernel.part" "$cache/kernel"
}

# Print what names a finished environment: it changes with the inputs, the place and the interpreter.
fingerprint() {
    { cat requirements/*.txt scripts/setup.sh pyproject.toml; pwd; "$1" -VV; } | sha256sum | cut -d' ' -f1
}

stamp() { echo ".venv/.sealward-$1-$now"; }

need gcc libc6-dev pkg-config libvirt-dev libvirt0 curl ca-certificates
if [[ $kind == dev ]]; then
    quietly need postgresql rabbitmq-server # the tests start servers of their own
    need wrk                                # asks the API in a benchmark
    quietly need prometheus                  # the tests check metrics and alerts with it
    quietly need memcached                   # API processes share checked tokens through it
    quietly need haproxy                     # the API is asked through a real proxy
    need golang-go golang-golang-x-mod-dev   # Go verifies the transparency log
    need docker-compose systemd              # these check compose.yaml and the units; neither is run
    # The tests of real hypervisors start a libvirtd and guests of their own, where they may.
    quietly need libvirt-daemon libvirt-daemon-driver-qemu qemu-system-x86 qemu-utils ovmf busybox-static
    fetch_kernel
fi

if now=$(fingerprint .venv/bin/python 2>/dev/null) && [[ -e $(stamp "$kind") ]] &&
    [[ $kind == run || -x .venv-keystone/bin/python ]] && [[ -z ${PYTHON:-} ||
    $("$PYTHON" -VV 2>/dev/null) == "$(.venv/bin/python -VV)" ]]; then
    say ".venv is up to date ($kind)"
    exit
fi

if ! python=$(find_python); then
    [[ -z ${PYTHON:-} ]] || die "$PYTHON is not Python 3.11 or newer with venv and headers"
    need python3 python3-venv python3-dev
    python=$(find_python) || die "no Python 3.11 or newer with venv and headers; name one with PYTHON=..."
fi

now=$(fingerprint "$python")
if [[ ! -e $(stamp run) ]]; then
    say "making .venv with $python"
    rm -rf .venv
    "$python" -m venv .venv
fi
pip=(.venv/bin/python -m pip --disable-pip-version-check -qq install --no-build-isolation --no-deps)
say "installing build tools"
retry "${pip[@]}" --require-hashes -r requirements/build.txt
say "installing requirements/$kind.txt"
retry "${pip[@]}" --require-hashes -r "requirements/$kind.txt"
if [[ $kind == dev ]]; then
    say "making .venv-keystone, a Keystone for the tests"
    rm -rf .venv-keystone
    "$python" -m venv .venv-keystone
    retry .venv-keystone/bin/python -m pip --disable-pip-version-check -qq install --no-deps --only-binary :all: \
        --require-hashes -r requirements/keystone.txt
fi
say "installing sealward, editable"
"${pip[@]}" -e .
touch "$(stamp run)" "$(stamp "$kind")"
say "done"
