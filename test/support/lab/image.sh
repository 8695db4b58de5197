#!/bin/sh
# Writes the lab's container image to standard output, made from the programs of the root file system ROOT.
#
#   image.sh ROOT      (in a mount namespace of its own)
set -eu
mount -t tmpfs tmpfs "$1/tmp"
exec chroot "$1" sh -eu -c '
  image=/tmp/image
  mkdir -p $image/bin $image/usr/bin $image/etc $image/tmp $image/proc $image/sys $image/dev
  cp "$(command -v busybox)" $image/bin/
  for applet in $(busybox --list); do ln -sf /bin/busybox $image/usr/bin/$applet; done
  ln -sf busybox $image/bin/sh
  # The real ones: busybox has no iperf3 and no getent, and its ping does not tell duplicates or errors apart.
  rm -f $image/usr/bin/ping $image/usr/bin/ping6 $image/usr/bin/busybox
  for program in ping iperf3 getent; do
    file=$(command -v $program)
    cp "$file" $image/usr/bin/
    # libgcc_s is loaded by name, when the first thread ends.
    for library in $(ldd "$file" | grep -o "/[^ ]*") $(ls /usr/lib/*/libgcc_s.so.1); do
      mkdir -p "$image$(dirname "$library")"
      cp -L "$library" "$image$library"
    done
  done
  echo "root:x:0:0:root:/:/bin/sh" > $image/etc/passwd
  tar -C $image -c .
'
