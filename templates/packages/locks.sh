# apt_run COMMAND...: runs what takes a lock of apt's or dpkg's, as root, once all of them are free; says who holds them
# meanwhile, and fails after $apt_left seconds of waiting in all. Also for `claw` and the lab's scripts.
# DPkg::Lock::Timeout is for dpkg's own locks: `apt-get update` and downloads fail at once while another apt holds
# lists/lock or archives/lock, as at the first boot of a cloud image.
: "${apt_left:=600}"

apt_run() {
  while apt_await || return 1; do
    # Who comes between takes them from us: then it says so, and is run again.
    { apt_said=$({
      { LC_ALL=C.UTF-8 "$@" 2>&1 >&3 3>&- 4>&- && echo 0 >&4 || echo $? >&4; } |
        sed -nu -e 'w /dev/stderr' -e 's/.*\(Could not get lock\|locked by another process\).*/locked/p' >&4
    } 4>&1); } 3>&1
    apt_code=$(printf '%s\n' "$apt_said" | grep -xm1 '[0-9]*')
    case $apt_code/$apt_said in
      [1-9]*/*locked*) if [ "$apt_left" -gt 0 ]; then apt_pause; continue; fi ;;
    esac
    return "$apt_code"
  done
}

apt_await() {
  apt_waited=
  while apt_held=$(apt_holders) && [ -n "$apt_held" ]; do
    if [ "$apt_left" -le 0 ]; then
      [ -n "${apt_told-}" ] ||
        printf 'apt is in use: %s\nwait until that has ended, or end it, then run again\n' "$apt_held" >&2
      apt_told=yes
      return 1
    fi
    [ "$apt_held" = "$apt_waited" ] || printf 'waiting for apt: %s\n' "$apt_held"
    apt_waited=$apt_held
    apt_pause
  done
}

# Not by the clock, which a first boot sets.
apt_pause() { sleep 1; apt_left=$((apt_left - 1)); }

# A line for each lock that is held: the file, and by whom. Nothing where there is no perl; apt itself says it then.
apt_holders() {
  eval "$(apt-config shell apt_lists Dir::State::lists/f apt_archives Dir::Cache::archives/f apt_status Dir::State::status/f)"
  : "${apt_lists:=/var/lib/apt/lists}" "${apt_archives:=/var/cache/apt/archives}"
  apt_admin=${apt_status:-/var/lib/dpkg/status}
  perl -MFcntl -e '
    for my $file (@ARGV) {
      open(my $handle, "<", $file) or next;
      my $lock = pack("s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0);
      fcntl($handle, F_GETLK, $lock) or next;
      my ($kind, $pid) = (unpack("s s x4 q q l", $lock))[0, 4];
      next if $kind == F_UNLCK;
      my $command = "";
      if ($pid > 0 && open(my $process, "<", "/proc/$pid/cmdline")) { local $/; $command = <$process> // "" }
      $command =~ tr/\0/ /;
      $command =~ s#://[^/\@\s]*\@#://#g;
      $command =~ s/[^ -~]+/?/g;
      $command =~ s/ +$//;
      $command = substr($command, 0, 117) . "..." if length $command > 120;
      print "$file is held by ", $pid > 0 ? "process $pid" : "another process", $command ? " ($command)\n" : "\n";
    }' "${apt_admin%/*}/lock-frontend" "${apt_admin%/*}/lock" "${apt_lists%/}/lock" \
    "${apt_archives%/}/lock" 2>/dev/null || :
}
