#!/bin/sh
# npm.sh fetch NAME VERSION INTEGRITY FILE: an npm package's tarball, refused when it is not the expected one.
# npm.sh install LOCK DIRECTORY NAME...: the packages of a lock, all of them and no others, without running anything of
# theirs. The packages NAMEs become nobody's, whose install scripts are to run in a later step:
# npm.sh scripts DIRECTORY NAME...: as nobody, and without fetching anything.
# With the secrets of the build: npmrc, ca (the host's CA bundle).
set -eu
[ ! -e /run/secrets/npmrc ] || export npm_config_userconfig=/run/secrets/npmrc
[ ! -e /run/secrets/ca ] || export NODE_EXTRA_CA_CERTS=/run/secrets/ca npm_config_cafile=/run/secrets/ca
export npm_config_cache=/run/build/npm npm_config_audit=false npm_config_fund=false \
  npm_config_update_notifier=false npm_config_loglevel=error
# A connection that the network lost without a word is given up after a minute, not after npm's five; the user's own
# .npmrc comes before this file.
npm_config_globalconfig=$(mktemp)
export npm_config_globalconfig
trap 'rm -f "$npm_config_globalconfig"' EXIT
printf '%s\n' fetch-timeout=60000 fetch-retries=5 fetch-retry-mintimeout=1000 fetch-retry-maxtimeout=20000 \
  >"$npm_config_globalconfig"

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
  lock=$1 directory=$2
  shift 2
  tree=$(dirname "$0")/tree.mjs
  mkdir -p "$directory"
  cp "$lock" "$directory/package-lock.json"
  node "$tree" root "$lock" >"$directory/package.json"
  (cd "$directory" && npm ci --loglevel=warn --ignore-scripts --omit=dev --install-strategy=shallow) 2>/tmp/npm.log || {
    cat /tmp/npm.log >&2
    node "$tree" refused "$lock" /tmp/npm.log
    exit 1
  }
  node "$tree" missing "$lock" "$directory"
  # npm's own record holds the addresses from which it loaded.
  find "$directory/node_modules" -name .package-lock.json -delete
  for name in "$@"; do
    find "$directory" -type d -path "*/node_modules/$name" -prune | while IFS= read -r package; do
      find "$package" -path "$package/node_modules" -prune -o -exec chown -h nobody:nogroup {} +
    done
  done
}

scripts() {
  cd "$1"
  shift
  # Nothing is fetched, by an install script that calls npm neither.
  HOME=/tmp npm_config_cache=/tmp/npm npm_config_offline=true npm rebuild --foreground-scripts --bin-links=false "$@"
}

command=$1
shift
$command "$@"
