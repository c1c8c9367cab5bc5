# disk NAME PATH: the file system that PATH is on, or will be.
disk() {
  there=$2
  while [ ! -e "$there" ]; do there=${there%/*}; there=${there:-/}; done
  df -PkT "$there" | {
    read -r _
    read -r device kind _ _ free _ mount && echo "disk=$1|$device|$kind|$free|$mount"
  }
}
