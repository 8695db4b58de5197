#!/bin/sh
# First program of a lab machine, started in new mount, network, process, host-name and IPC namespaces.
# Builds the machine's file system, says "ready" on standard output and becomes the machine's init.
#
#   machine-init.sh ROOT DIR NAME LAB PROJECT
#
# ROOT     root file system, shared by machines and never written to
# DIR      this machine's own folder: what it writes (upper, data) outlives a reboot
# LAB      the lab's folder, seen as /lab;  PROJECT  the checkout, seen as /project (read-only)
set -eu
root=$1 dir=$2 name=$3 lab=$4 project=$5

mount --make-rprivate /
mkdir -p "$dir/upper" "$dir/work" "$dir/root" "$dir/docker" "$dir/containerd"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
cd "$dir/root"

# A new /sys shows the devices of this network namespace; the control groups are the real machine's.
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
# /run and /tmp are empty after a reboot, as on a real machine.
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp

# The engine cannot put its overlay mounts on top of ours, so its data lies on the real disk.
mkdir -p var/lib/docker var/lib/containerd lab project
mount --bind "$dir/docker" var/lib/docker
mount --bind "$dir/containerd" var/lib/containerd
mount --bind "$lab" lab
mount --bind "$project" project
mount -o remount,bind,ro project

hostname "$name"
echo "$name" > etc/hostname
printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n' "$name" > etc/hosts
# Nobody answers there, and says so at once: a name that does not resolve must not cost a time-out.
echo 'nameserver 192.168.200.254' > etc/resolv.conf

pivot_root . mnt
umount --lazy /mnt
# As systemd does on a real machine: mounts made here are seen by whoever was given a part of the tree.
mount --make-rshared /
ip link set lo up

echo ready
exec tini -g -- sleep infinity </dev/null >/dev/null 2>&1
