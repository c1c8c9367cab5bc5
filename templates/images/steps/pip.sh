#!/bin/sh
# pip.sh DIRECTORY REQUIREMENT...: Python packages for the system's python3, as files under DIRECTORY.
# With the secrets of the build: pip-conf, ca (the host's CA bundle).
set -eu
directory=$1
shift
[ ! -e /run/secrets/pip-conf ] || export PIP_CONFIG_FILE=/run/secrets/pip-conf
[ ! -e /run/secrets/ca ] || export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca
export PIP_CACHE_DIR=/run/build/pip PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
# OpenClaw's documentation (install/docker/environment-variables) promises packages that python3 itself sees.
mkdir -p "$directory"
python3 -m pip install --break-system-packages --no-input --root "$directory" "$@"
