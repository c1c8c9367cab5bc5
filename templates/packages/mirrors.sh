# reached_at URI: the address behind an apt source as a container reaches it too: http or https, and for a list of mirrors
# (mirror+file:, mirror://; apt-transport-mirror(1)) the first of them. Nothing for what only this host has.
reached_at() {
  case $1 in
    http://localhost[:/]* | http://127.* | http://\[::1\]* | https://localhost[:/]* | https://127.* | https://\[::1\]*) ;;
    http://* | https://*) echo "${1%/}" ;;
    mirror+file:* | mirror+copy:*)
      list=${1#*:} && list=${list#//}
      /usr/lib/apt/apt-helper cat-file "${list%/}" 2>/dev/null | first_mirror ;;
    mirror://* | mirror+http://* | mirror+https://*)
      list=${1#mirror} && list=${list#+} && list=${list%/}
      case $list in :*) list=http$list ;; esac
      directory=$(mktemp -d)
      timeout 20 /usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root download-file "$list" "$directory/${list##*/}" \
        >/dev/null 2>&1 && /usr/lib/apt/apt-helper cat-file "$directory/${list##*/}" 2>/dev/null | first_mirror
      rm -rf "$directory" ;;
  esac
}

# Those that have no limits go before those that have some, then the lowest priority.
first_mirror() {
  awk '
    /^https?:\/\// && !/^https?:\/\/(localhost[:\/]|127\.|\[::1\])/ {
      rank = 1e9
      for (i = 2; i <= NF; i++) {
        if ($i ~ /^priority:[0-9]+$/) rank += substr($i, 10) - 1e9
        else if ($i !~ /^lang:/) limited = 1e10
      }
      rank += limited; limited = 0
      if (best == "" || rank < lowest) { lowest = rank; best = $1 }
    }
    END { sub(/\/$/, "", best); if (best != "") print best }'
}
