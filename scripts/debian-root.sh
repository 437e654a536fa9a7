#!/bin/sh
# Make the root folder of a Debian with libvirt and QEMU, whose libvirtd the tests can run beside that of this machine:
#     scripts/debian-root.sh trixie /var/tmp/trixie
#     SEALWARD_LIBVIRT_ROOT=/var/tmp/trixie .venv/bin/python -m pytest tests/hypervisor
# Root only. The packages are unpacked and not configured: no service of them is meant to be started.
set -eu
suite=$1 root=$2
command -v debootstrap >/dev/null || { echo "no debootstrap here: apt-get install debootstrap" >&2; exit 2; }
mkdir -p "$root"
packages=libvirt-daemon,libvirt-daemon-driver-qemu,libvirt-daemon-driver-network,libvirt-daemon-driver-storage
packages=$packages,libvirt-daemon-driver-nwfilter,libvirt-daemon-driver-secret,qemu-system-x86,qemu-utils,ovmf,nftables
debootstrap --foreign --variant=minbase --include="$packages" "$suite" "$root"
for package in "$root"/var/cache/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$root"
done
[ -f "$root/etc/passwd" ] || cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
[ -f "$root/etc/group" ] || cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
chroot "$root" ldconfig
chroot "$root" libvirtd --version
