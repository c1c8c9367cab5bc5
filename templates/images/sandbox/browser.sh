#!/bin/bash
# Chromium behind an authenticated relay, for OpenClaw's browser sandbox contract (2026-05-12-cdp-relay-auth). On a
# display that an observer sees over noVNC, or headless. Everything ends when one process does.
set -euo pipefail
umask 077

fail() { echo "openclaw-sandbox-browser: $*" >&2; exit 1; }

# number NAME DEFAULT LOWEST HIGHEST: a variable that must be a number, or its default.
number() {
  local value=${!1:-$2}
  [[ $value =~ ^[0-9]{1,6}$ ]] && ((value >= $3 && value <= $4)) || fail "$1=$value: accepted: $3 to $4"
  printf -v "$1" %s "$value"
}

# on NAME DEFAULT: whether a switch is on.
on() {
  case ${!1:-$2} in
    1 | true | yes | on) ;;
    0 | false | no | off) return 1 ;;
    *) fail "$1=${!1}: accepted: 1 or 0" ;;
  esac
}

number OPENCLAW_BROWSER_CDP_PORT 9222 1024 65534
number OPENCLAW_BROWSER_VNC_PORT 5900 1024 65535
number OPENCLAW_BROWSER_NOVNC_PORT 6080 1024 65535
number OPENCLAW_BROWSER_AUTO_START_TIMEOUT_MS 12000 1 600000
number OPENCLAW_BROWSER_RENDERER_PROCESS_LIMIT 2 0 1000
chromium_port=$((OPENCLAW_BROWSER_CDP_PORT + 1))

# The root file system may be read-only, and the user any.
HOME=$(mktemp -d "${TMPDIR:-/tmp}/home.XXXXXX")
export HOME XDG_CONFIG_HOME=$HOME/.config XDG_CACHE_HOME=$HOME/.cache XDG_RUNTIME_DIR=$HOME/.run
mkdir -p "$XDG_CONFIG_HOME" "$XDG_CACHE_HOME" "$XDG_RUNTIME_DIR"

# Pages are not trusted: what starts later does not inherit the secrets.
token=${OPENCLAW_BROWSER_CDP_AUTH_TOKEN:-} password=${OPENCLAW_BROWSER_NOVNC_PASSWORD:-}
unset OPENCLAW_BROWSER_CDP_AUTH_TOKEN OPENCLAW_BROWSER_NOVNC_PASSWORD

declare -A names
# start COMMAND...: in the background, known by its name.
start() { "$@" & names[$!]=$1; }

trap 'trap - TERM; kill -TERM "${!names[@]}" 2>/dev/null || :; wait; rm -rf "$HOME"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

arguments=(
  --remote-debugging-address=127.0.0.1
  --remote-debugging-port=$chromium_port
  "--user-data-dir=$HOME/.chrome"
  --no-first-run
  --no-default-browser-check
  --disable-dev-shm-usage
  --disable-background-networking
  --disable-breakpad
  --disable-crash-reporter
  --metrics-recording-only
  --password-store=basic
  --use-mock-keychain
)
if on OPENCLAW_BROWSER_NO_SANDBOX 1; then arguments+=(--no-sandbox --disable-setuid-sandbox --no-zygote); fi
if on OPENCLAW_BROWSER_DISABLE_GRAPHICS_FLAGS 1; then
  arguments+=(--disable-3d-apis --disable-gpu --disable-software-rasterizer)
fi
if on OPENCLAW_BROWSER_DISABLE_EXTENSIONS 1; then arguments+=(--disable-extensions); fi
if ((OPENCLAW_BROWSER_RENDERER_PROCESS_LIMIT)); then
  arguments+=("--renderer-process-limit=$OPENCLAW_BROWSER_RENDERER_PROCESS_LIMIT")
fi

if on OPENCLAW_BROWSER_HEADLESS 0; then
  arguments+=(--headless=new)
else
  mkfifo "$HOME/.display"
  exec 3<>"$HOME/.display"
  start Xvfb -displayfd 3 -screen 0 1280x800x24 -nolisten tcp -noreset -extension MIT-SHM
  until read -r -t 0.5 -u 3 number; do
    kill -0 $! 2>/dev/null || fail "the display did not start"
  done
  exec 3>&-
  export DISPLAY=:$number
  if on OPENCLAW_BROWSER_ENABLE_NOVNC 1; then
    # VNC looks at eight characters and no more.
    [ -n "$password" ] || password=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s\n' "${password:0:8}" >"$HOME/.vnc"
    start x11vnc -quiet -display "$DISPLAY" -localhost -rfbport "$OPENCLAW_BROWSER_VNC_PORT" -passwdfile "rm:$HOME/.vnc" \
      -shared -forever -noshm -noipv6
    start websockify --web=/usr/share/novnc "$OPENCLAW_BROWSER_NOVNC_PORT" "127.0.0.1:$OPENCLAW_BROWSER_VNC_PORT"
  fi
fi

start /usr/lib/chromium/chromium "${arguments[@]}" about:blank
chromium=$!
deadline=$((${EPOCHREALTIME/[.,]/} / 1000 + OPENCLAW_BROWSER_AUTO_START_TIMEOUT_MS))
until curl -fs -o /dev/null --max-time 2 "http://127.0.0.1:$chromium_port/json/version"; do
  kill -0 $chromium 2>/dev/null || fail "Chromium did not start"
  ((${EPOCHREALTIME/[.,]/} / 1000 < deadline)) ||
    fail "Chromium did not answer within $OPENCLAW_BROWSER_AUTO_START_TIMEOUT_MS ms"
  sleep 0.1
done

if [ -n "$token" ]; then
  digest() { sha256sum | cut -d' ' -f1; }
  RELAY_BASIC_DIGEST=$(printf 'openclaw:%s' "$token" | base64 -w0 | digest)
  RELAY_BEARER_DIGEST=$(printf %s "$token" | digest)
  RELAY_SOURCE_RANGE=${OPENCLAW_BROWSER_CDP_SOURCE_RANGE:-0.0.0.0/0}
  CHROMIUM_PORT=$chromium_port
  export OPENCLAW_BROWSER_CDP_PORT CHROMIUM_PORT ${!RELAY_*}
  start haproxy -db -f /usr/local/etc/openclaw-sandbox-browser.cfg
else
  echo "openclaw-sandbox-browser: no OPENCLAW_BROWSER_CDP_AUTH_TOKEN, so no relay" >&2
fi
unset token password

wait -n -p ended || :
fail "${names[$ended]} ended"
