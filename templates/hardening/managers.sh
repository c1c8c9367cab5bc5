# The host's own firewall: ufw or firewalld, by their own commands. `manager` is which.
manager_active() {
  if LC_ALL=C ufw status 2>/dev/null </dev/null | grep -q '^Status: active'; then echo ufw
  elif firewall-cmd --state >/dev/null 2>&1 </dev/null; then echo firewalld; fi
}
# What of it closes nothing: what no rule names (`rules`), or IPv6.
manager_open() {
  case $manager in
    ufw)
      grep -Eqs '^DEFAULT_INPUT_POLICY="?ACCEPT' /etc/default/ufw && echo 'open rules'
      grep -Eqs '^IPV6="?no' /etc/default/ufw && echo 'open ipv6' ;;
    firewalld)
      [ "$(firewall-cmd --permanent --zone="$(firewall-cmd --get-default-zone)" --get-target)" != ACCEPT ] || echo 'open rules' ;;
  esac
}
# manager_has PORT/PROTOCOL, and to open and to close one.
manager_has() {
  case $manager in
    ufw) LC_ALL=C ufw show added </dev/null | grep -qxF "ufw allow $1" ;;
    firewalld) firewall-cmd -q --permanent --query-port="$1" ;;
  esac
}
manager_allow() {
  case $manager in
    ufw) ufw allow "$1" ;;
    firewalld) firewall-cmd -q --permanent --add-port="$1" && firewall-cmd -q --add-port="$1" ;;
  esac </dev/null >/dev/null
}
# manager_forget FILE [PORT...]: takes back what FILE says that the toolkit has allowed, but for some ports.
manager_forget() {
  record=$1
  shift
  [ -e "$record" ] || return 0
  while read -r manager port; do
    case " $* " in *" $port "*) echo "$manager $port"; continue ;; esac
    case $manager in
      ufw) ufw delete allow "$port" ;;
      firewalld) firewall-cmd -q --permanent --remove-port="$port"; firewall-cmd -q --remove-port="$port" ;;
    esac </dev/null >/dev/null 2>&1
  done <"$record" >"$record.new"
  if [ -s "$record.new" ]; then mv -f "$record.new" "$record"; else rm -f "$record" "$record.new"; fi
}
