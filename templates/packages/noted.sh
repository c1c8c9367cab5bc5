# note_packages ITEM...: keeps in mind which packages an installation brings to a host that did not have them, before
# they are installed: `./claw remove --purge-engine` takes away these, and no others.
packages_note=/etc/openclaw-pyinfra/packages
note_packages() {
  new=$(apt-get install --simulate --yes --no-install-recommends -qq "$@" 2>/dev/null </dev/null |
    awk '/^Inst / && $3 !~ /^\[/ { print $2 }')
  [ -n "$new" ] || return 0
  mkdir -p "${packages_note%/*}" &&
    { cat $packages_note 2>/dev/null; printf '%s\n' "$new"; } | sort -u >$packages_note.new &&
    chmod 644 $packages_note.new && mv -fT $packages_note.new $packages_note
}
