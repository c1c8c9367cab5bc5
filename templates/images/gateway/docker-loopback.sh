#!/bin/sh
# docker's client for OpenClaw, which looks for a sandboxed browser at the port that the engine publishes on the host's
# loopback. A gateway in a container has a loopback of its own: a port that is asked for is opened there too.
set -u
client=/usr/local/lib/openclaw/docker
[ "${1:-}" = port ] && [ $# = 3 ] || exec $client "$@"
answer=$($client "$@") || exit
printf '%s\n' "$answer"
port=$(printf '%s\n' "$answer" | sed -n '1s/.*:\([0-9]*\)$/\1/p')
[ -z "$port" ] || setsid node /usr/local/lib/openclaw/loopback.mjs "$port" "$2" "${3%/tcp}" </dev/null >/dev/null 2>&1 &
