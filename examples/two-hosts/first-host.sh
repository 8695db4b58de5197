#!/bin/sh
# The network and a container. Prints the container's address.
set -eu
image=${IMAGE:-alpine}

docker network create -d ts-overlay --ipam-driver ts-overlay --subnet 10.10.0.0/16 uber-net > /dev/null
docker run -d --name c1 --network uber-net "$image" sleep 3600 > /dev/null
docker inspect --format '{{(index .NetworkSettings.Networks "uber-net").IPAddress}}' c1
