{% include "access/unset.sh" %}

# use_engine SOCKET: docker means the engine behind SOCKET.
use_engine() {
  export DOCKER_HOST="unix://$1" BUILDKIT_COLORS= NO_COLOR=1
}

# export_proxies: the host's proxy variables, from the environment or /etc/environment, in both spellings, because
# curl and apt know only the small one; their names are in $proxies.
export_proxies() {
  proxies=
  everywhere=$(grep -i _proxy= /etc/environment 2>/dev/null) || :
  for name in http_proxy:HTTP_PROXY https_proxy:HTTPS_PROXY ftp_proxy:FTP_PROXY all_proxy:ALL_PROXY no_proxy:NO_PROXY; do
    large=${name#*:} name=${name%:*}
    eval "value=\${$name:-\${$large-}}"
    [ -n "$value" ] || [ -z "$everywhere" ] ||
      value=$(printf '%s\n' "$everywhere" | sed -n "s/^\(export \)\{0,1\}\($name\|$large\)=//p" |
        tail -n 1 | sed "s/^[\"']//; s/[\"']\$//")
    [ -n "$value" ] || continue
    export "$name=$value" "$large=$value"
    proxies="$proxies $name $large"
  done
}
