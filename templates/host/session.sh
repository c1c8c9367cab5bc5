# The address and the port of the host by which the session came that this is a part of, as `session`: sudo takes the
# variable away, so it is read of the processes above.
pid=$$ session=
case ${SSH_CONNECTION-} in
  *' '*' '*' '*) session=${SSH_CONNECTION#* } session=${session#* } ;;
esac
while [ -z "$session" ] && [ "${pid:-0}" -gt 1 ]; do
  session=$(tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null |
    sed -n 's/^SSH_CONNECTION=[^ ]* [^ ]* \([^ ]*\) \([0-9]*\)$/\1 \2/p' | head -n 1)
  pid=$(sed -n '$s/.*) //p' "/proc/$pid/stat" | cut -d' ' -f2)
done
