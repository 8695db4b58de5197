#!/bin/sh
# A container on the network that the first host created, which pings the first host's. Usage: second-host.sh ADDRESS
set -eu
image=${IMAGE:-alpine}

until docker network inspect uber-net > /dev/null 2>&1; do sleep 0.1; done
docker run --rm --network uber-net "$image" ping -c 3 "$1"
