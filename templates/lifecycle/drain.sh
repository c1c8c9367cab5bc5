# drained COMMAND...: runs what stops a gateway, and says meanwhile for how long that goes on. A gateway in the middle of
# a turn takes nothing new and finishes the turn, as long as it is given.
drained() {
  began=$(date +%s) told=5
  "$@" &
  stopping=$!
  while kill -0 $stopping 2>/dev/null; do
    waited=$(($(date +%s) - began))
    if [ $waited -ge $told ]; then
      printf '%s\n' "the gateway finishes what it is doing; $waited s so far, 315 s at most"
      told=$((told + 15))
    fi
    sleep 0.2
  done
  wait $stopping || return 1
  waited=$(($(date +%s) - began))
}
