# held DIRECTORY UID COMMAND...: in a directory whose parents may be somebody else's, once it is known to be the one that was
# meant: where we stand nobody can change, and no link has led elsewhere. UID: whose it must be, - anybody's. The functions
# of owner.sh take `.` then.
held() (
  cd -P -- "$1" 2>/dev/null || { echo "$1 is no directory that can be entered" >&2; exit 1; }
  [ "$(pwd -P)" = "$1" ] || { echo "$1 leads to another place" >&2; exit 1; }
  case $2 in - | "$(stat -c %u .)") ;; *) echo "$1 belongs to uid $(stat -c %u .), not $2" >&2; exit 1 ;; esac
  shift 2
  "$@"
)
