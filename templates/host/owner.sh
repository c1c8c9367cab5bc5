# What lies below a directory that somebody else owns, root neither opens nor changes: he may put anything in its place
# at any moment. Whoever owns the directory does it, who gets no further than he would without us. Whole trees may be
# removed as root if their parent is root's: rm follows no link.

# as_owner SECONDS DIRECTORY COMMAND...: runs a command in a directory as its owner, wherever it is; it has that long.
# The parents of the directory are root's. A directory of root's is fine if nobody else may write to it.
as_owner() (
  seconds=$1
  cd -P -- "$2" || exit 1
  shift 2
  owner=$(stat -c '%u %g %a' .) || exit 1
  case $owner in "0 "*[2367] | "0 "*[2367]?) echo "$(pwd -P) is root's, but others may write to it" >&2; exit 1 ;; esac
  user=${owner%% *} group=${owner#* }
  # timeout is root's: nobody else can stop it. Nothing of ours, such as a lock, is open in the command.
  exec env -i PATH="$PATH" LC_ALL=C timeout -k 5 "$seconds" \
    setpriv --reuid "$user" --regid "${group% *}" --clear-groups --no-new-privs -- "$@" 7>&- 9>&-
)

# read_foreign DIRECTORY NAME BYTES: writes a file in a directory of somebody else's in base64. What is no regular file
# or larger is refused: 1, and the reason instead; 2: it is not there.
read_foreign() {
  [ -e "$1" ] || return 2
  said=$(as_owner 20 "$1" sh -c '
    refuse() { echo "$1"; exit 1; }
    [ -x . ] || refuse "its directory is closed to its owner"
    if [ -L "$1" ]; then refuse "it is a symbolic link, not a regular file"; fi
    [ -e "$1" ] || exit 2
    [ -f "$1" ] || refuse "it is a $(stat -c %F -- "$1"), not a regular file"
    [ -r "$1" ] || refuse "uid $(id -u) may not read it (uid:gid and mode: $(stat -c "%u:%g %a" -- "$1"))"
    exec <"$1" || exit 1
    # Of what was opened: it may be another file by now.
    [ -f /proc/self/fd/0 ] || refuse "it is no regular file"
    size=$(stat -Lc %s /proc/self/fd/0)
    [ "$size" -le "$2" ] || refuse "it has $size bytes; $2 are accepted"
    head -c "$2" | base64 -w0' sh "$2" "$3" 2>&1)
  status=$?
  case $status in 0 | 1 | 2) ;; 124 | 137) said="it could not be read within 20 s" status=1 ;; *) status=1 ;; esac
  printf %s "$said"
  return $status
}
