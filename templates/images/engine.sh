# use_engine SOCKET: docker means the engine behind SOCKET.
use_engine() {
  export DOCKER_HOST="unix://$1" BUILDKIT_COLORS= NO_COLOR=1
  unset DOCKER_CONTEXT BUILDX_BUILDER
}

# export_proxies: the host's proxy variables, from the environment or /etc/environment; names in $proxies.
export_proxies() {
  proxies=
  for name in HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy ftp_proxy all_proxy no_proxy; do
    eval "value=\${$name-}"
    [ -n "$value" ] || value=$(sed -n "s/^\(export \)\{0,1\}$name=//p" /etc/environment 2>/dev/null |
      tail -n 1 | sed "s/^[\"']//; s/[\"']\$//")
    [ -n "$value" ] || continue
    export "$name=$value"
    proxies="$proxies $name"
  done
}
