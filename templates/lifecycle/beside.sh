# Directories whose parents are root's change places by their names. A name is free, or its directory is there whole.
directories() { for directory in "$config" "$workspace" "$auth"; do "$1" "$directory" || return 1; done; }
make_room() { rm -rf "$1.restored" && mkdir "$1.restored" && chmod --reference="$1" "$1.restored" && chown --reference="$1" "$1.restored"; }
forget() { rm -rf "$1.restored"; }
swap_in() { mv -T "$1" "$1.replaced" && mv -T "$1.restored" "$1"; }
put_back() {
  [ -e "$1.replaced" ] || return 0
  rm -rf "$1.restored"
  { [ ! -e "$1" ] || mv -T "$1" "$1.restored"; } && mv -T "$1.replaced" "$1" && rm -rf "$1.restored"
}
set_aside() { [ ! -e "$1.replaced" ] || mv -T "$1.replaced" "$1.$stamp"; }
# What an earlier one would be taken for, if this one had to go back.
nothing_beside() { [ ! -e "$1.replaced" ] || { say "$1.replaced is there already: move it away"; return 1; }; }
