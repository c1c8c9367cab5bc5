# fewer BEFORE AFTER: a line `NAME BEFORE AFTER` for each count that became less, or that nobody knows any more.
fewer() {
  printf '%s\n' "$1" "$2" | tr -d '{}"' | awk -F '[:,]' '
    NR == 1 { for (i = 1; i < NF; i += 2) before[$i] = $(i + 1) }
    NR == 2 { for (i = 1; i < NF; i += 2) after[$i] = $(i + 1) }
    END {
      for (name in before)
        if (before[name] ~ /[0-9]/ && (after[name] !~ /[0-9]/ || after[name] + 0 < before[name] + 0))
          print name, before[name], (after[name] == "" ? "null" : after[name])
    }' | sort
}
