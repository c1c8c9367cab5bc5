#!/bin/sh
# browser.sh PLAYWRIGHT: the Chromium of Playwright's release, as OpenClaw's documentation has it; where its
# download host cannot be reached, Debian's Chromium, which OpenClaw finds as well.
set -eu
[ ! -e /run/secrets/ca ] || export NODE_EXTRA_CA_CERTS=/run/secrets/ca
export PLAYWRIGHT_BROWSERS_PATH=/opt/playwright PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT=10000
packages=$(dirname "$0")/packages.sh
sh "$packages" xvfb fonts-liberation
if node "$1/cli.js" install chromium; then
  sh "$packages" --run node "$1/cli.js" install-deps chromium
else
  echo "Playwright's Chromium cannot be downloaded: Debian's is installed"
  rm -rf $PLAYWRIGHT_BROWSERS_PATH
  sh "$packages" chromium
fi
rm -rf /root/.cache
