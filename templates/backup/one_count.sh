# What counts.mjs says, whoever says it.
one_count() { grep -xm1 '{\("[a-z_]\{1,20\}":\([0-9]\{1,9\}\|null\),\{0,1\}\)*}'; }
