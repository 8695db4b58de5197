#!/bin/sh
':' /* 2> /dev/null
# Both a shell script and the JavaScript behind it: runs itself with the Node of this host, or, where that is missing or
# too old, with the one in the root file system of the installed plugin. To JavaScript, all this is a comment, which is
# why a star never stands before a slash here.
if [ "${1:-}" = docker-cli-plugin-metadata ]; then
  printf '{"SchemaVersion":"0.1.0","Vendor":"ts-overlay","Version":"VERSION","ShortDescription":"Overlay networks without swarm"}\n'
  exit 0
fi
case "$(node --version 2> /dev/null)" in
  v2[4-9].* | v[3-9][0-9].*) exec node "$0" "$@" ;;
esac
checkout=$(dirname "$0")/../..
[ -x "$checkout"/node_modules/.bin/node ] && exec "$checkout"/node_modules/.bin/node "$0" "$@"
any='*'
data_root=$(sed -n 's|.*"data-root"[ :]*"\([^"]*\)".*|\1|p' /etc/docker/daemon.json 2> /dev/null)
for root in "${data_root:-/var/lib/docker}"/plugins/$any/rootfs; do
  [ -e "$root"/app/docker-ts-overlay ] || continue
  # With the loader and the libraries beside it: the host's may be older.
  libraries=
  for folder in "$root"/lib/$any-linux-gnu "$root"/usr/lib/$any-linux-gnu "$root"/lib64; do
    libraries="$libraries:$folder"
  done
  for loader in "$root"/lib64/ld-linux-$any "$root"/lib/ld-linux-$any; do
    [ -x "$loader" ] || continue
    exec "$loader" --library-path "${libraries#:}" "$root"/usr/bin/node "$0" "$@"
  done
done
echo 'ts-overlay: found neither Node 24 nor an installed plugin of ts-overlay (only root can see it)' >&2
exit 2
# */
