{% include "access/unset.sh" %}

# use_engine SOCKET: docker means the engine behind SOCKET.
use_engine() {
  export DOCKER_HOST="unix://$1" BUILDKIT_COLORS= NO_COLOR=1
}

# export_proxies: the host's proxy variables, from the environment or /etc/environment, in both spellings, because
# curl and apt know only the small one; their names are in $proxies.
export_proxies() {
  proxies=
  for name in http_proxy https_proxy ftp_proxy all_proxy no_proxy; do
    large=$(echo $name | tr '[:lower:]' '[:upper:]')
    eval "value=\${$name:-\${$large-}}"
    [ -n "$value" ] || value=$(sed -n "s/^\(export \)\{0,1\}\($name\|$large\)=//p" /etc/environment 2>/dev/null |
      tail -n 1 | sed "s/^[\"']//; s/[\"']\$//")
    [ -n "$value" ] || continue
    export "$name=$value" "$large=$value"
    proxies="$proxies $name $large"
  done
}
