#!/bin/sh
# A network of the swarm, and a service with two tasks on it. Swarm takes plugins by their full names alone.
set -eu
driver=${DRIVER:-ts-overlay/ts-overlay:latest}
image=${IMAGE:-alpine}

docker network create -d "$driver" --ipam-driver "$driver" --subnet 10.60.0.0/24 --attachable swarmed
# Swarm has no virtual addresses on networks of plugins: --endpoint-mode dnsrr.
docker service create --detach --no-resolve-image --name web --network swarmed --endpoint-mode dnsrr \
  --replicas 2 --replicas-max-per-node 1 --stop-grace-period 1s "$image" sleep 3600
