readable() { tail -n "$1" | LC_ALL=C tr -c '[:print:]\n' '?' | cut -c1-500; }
