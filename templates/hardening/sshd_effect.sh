# sshd_ignores FILE: whether something that is set there is not in effect.
sshd_ignores() {
  PATH=$PATH:/usr/sbin sshd -T 2>/dev/null | awk -v file="$1" '
    { found[tolower($0)] = 1; value[tolower($1)] = "," tolower($2) "," }
    END {
      while ((getline line <file) > 0) {
        sub("prohibit-password", "without-password", line)
        split(tolower(line), word, " ")
        if (word[2] ~ /^-/) {
          # It takes something away: what is left has nothing of the kind.
          less = substr(word[2], 2)
          gsub(/[.]/, "[.]", less)
          gsub(/[*]/, "[^,]*", less)
          if (value[word[1]] ~ ("," less ",")) ignored = 1
        } else if (line !~ /^#/ && !(tolower(line) in found)) ignored = 1
      }
      exit !(NR && ignored)
    }'
}
