#!/bin/sh
# The same network, and a container that pings the first host's. Usage: second-host.sh ADDRESS
set -eu
image=${IMAGE:-alpine}

docker network create -d ts-overlay --ipam-driver ts-overlay --subnet 10.10.0.0/16 uber-net > /dev/null
docker run --rm --network uber-net "$image" ping -c 3 "$1"
