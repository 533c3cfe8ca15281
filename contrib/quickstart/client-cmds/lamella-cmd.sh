#!/bin/bash
# Sourced by spin-node.sh, which sets $item, $configDir, $dataDir, the ports and the choices of this run.
# shellcheck disable=SC2034,SC2154

lamella_options=""
if [ "$isAggregator" == "true" ]; then
    lamella_options="$lamella_options --is-aggregator"
    # One subnet needs no list; an aggregator of several listens to all.
    if [[ "${aggregateSubnetIds:-}" == *,* ]]; then
        lamella_options="$lamella_options --aggregate-subnet-ids $aggregateSubnetIds"
    fi
fi
if [ -n "${attestationCommitteeCount:-}" ]; then
    lamella_options="$lamella_options --attestation-committee-count $attestationCommitteeCount"
fi
if [ -n "${checkpoint_sync_url:-}" ]; then
    lamella_options="$lamella_options --checkpoint-sync-url $checkpoint_sync_url"
fi

# $1: the folder of the network's files, $2: the folder of data.
lamella_arguments() {
    echo "node --network-dir $1 --data-dir $2 --node-id $item --gossipsub-port $quicPort" \
        "--http-address 0.0.0.0 --api-port $apiPort --metrics-port $metricsPort $lamella_options"
}

node_binary="$scriptDir/../lamella/target/release/lamella $(lamella_arguments "$configDir" "$dataDir/$item")"
node_docker="ghcr.io/lamella-eth/lamella:latest $(lamella_arguments /config /data)"
node_setup="binary"
