# disk NAME PATH: the file system that PATH is on, or will be.
disk() {
  there=$2
  while [ ! -e "$there" ]; do there=${there%/*}; there=${there:-/}; done
  df -PkT "$there" |
    awk -v what="$1" 'NR == 2 { print "disk=" what "|" $1 "|" $2 "|" $5 "|" $7 }'
}
