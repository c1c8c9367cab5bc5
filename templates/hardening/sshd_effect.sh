# sshd_ignores FILE: whether something that is set there is not in effect.
sshd_ignores() {
  PATH=$PATH:/usr/sbin sshd -T 2>/dev/null | awk -v file="$1" '
    { found[tolower($0)] = 1 }
    END {
      while ((getline line <file) > 0) {
        sub("prohibit-password", "without-password", line)
        if (line !~ /^#/ && !(tolower(line) in found)) ignored = 1
      }
      exit !(NR && ignored)
    }'
}
