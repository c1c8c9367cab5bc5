#!/bin/sh
# npm.sh fetch NAME VERSION INTEGRITY FILE: an npm package's tarball, refused when it is not the expected one.
# npm.sh install FILE DIRECTORY BEFORE: a tarball and its dependencies as they were at the time BEFORE.
# With the secrets of the build: npmrc, ca (the host's CA bundle).
set -eu
[ ! -e /run/secrets/npmrc ] || export npm_config_userconfig=/run/secrets/npmrc
[ ! -e /run/secrets/ca ] || export NODE_EXTRA_CA_CERTS=/run/secrets/ca npm_config_cafile=/run/secrets/ca
export npm_config_cache=/run/build/npm npm_config_audit=false npm_config_fund=false \
  npm_config_update_notifier=false npm_config_loglevel=error

fetch() {
  directory=$(mktemp -d)
  (cd "$directory" && npm pack "$1@$2" >/dev/null) ||
    { echo "npm package $1@$2 could not be fetched" >&2; exit 1; }
  mv "$directory"/*.tgz "$4"
  rmdir "$directory"
  digest=$(node -e 'console.log(require("crypto").createHash("sha512")
    .update(require("fs").readFileSync(process.argv[1])).digest("base64"))' "$4")
  [ "sha512-$digest" = "$3" ] ||
    { echo "integrity of npm package $1@$2: expected $3, found sha512-$digest" >&2; exit 1; }
}

install() {
  npm install --global --omit=dev --prefix /opt/npm --before="$3" "$1"
  name=$(ls /opt/npm/lib/node_modules)
  mv "/opt/npm/lib/node_modules/$name" "$2"
  # npm's own record holds the addresses from which it loaded.
  rm -rf /opt/npm "$2/node_modules/.package-lock.json"
}

command=$1
shift
$command "$@"
