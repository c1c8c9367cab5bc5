# sh pull.sh run|try|leave: brings this host to what a signed ref of a git repository says, by itself. `run` is what the
# timer starts; `try` does all of it but the change; `leave` takes the host's report out of the repository. What it was
# enrolled with is beside it (enrolment.sh, allowed_signers, known_hosts, deploy_key); docs/pull.md says what it does.
set -euf
umask 077
mode=${1:-run}
own=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
. "$own/enrolment.sh"
tree=$base/tree commit=- said=$base/said reports=refs/openclaw-pull/
export HOME="${HOME:-/root}" LC_ALL=C.UTF-8 XDG_STATE_HOME="$base/state"

# Nobody is there to be asked; a transport that runs commands of the address (ext::) is none.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_ASKPASS SSH_ASKPASS
export GIT_TERMINAL_PROMPT=0 GIT_ALLOW_PROTOCOL=file:http:https:ssh GIT_NO_REPLACE_OBJECTS=1
ssh="ssh -F none -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=20 -o IdentitiesOnly=yes"
ssh="$ssh -o StrictHostKeyChecking=yes -o UserKnownHostsFile=$own/known_hosts"
[ ! -e "$own/deploy_key" ] || ssh="$ssh -i $own/deploy_key"
export GIT_SSH_COMMAND="$ssh"
export GIT_AUTHOR_NAME="$name" GIT_AUTHOR_EMAIL=pull GIT_COMMITTER_NAME="$name" GIT_COMMITTER_EMAIL=pull

git_here() {
  timeout -k 10 900 git -C "$tree" -c core.hooksPath=/dev/null -c credential.helper= -c core.askPass= \
    -c advice.detachedHead=false "$@"
}
# SSH's own signatures alone, by a key that the operator has named: root's keyring of GnuPG has no say here.
verify() {
  git_here -c gpg.ssh.allowedSignersFile="$own/allowed_signers" -c gpg.ssh.program=ssh-keygen -c gpg.minTrustLevel=fully \
    -c gpg.program=false -c gpg.openpgp.program=false -c gpg.x509.program=false "$@" >"$said" 2>&1
}
# printable: text that does nothing to a terminal, in one line.
printable() { tr '\n' ' ' | tr -cd '[:print:]' | cut -c1-1500; }
last_words() { grep -v '^[[:space:]]*$' "$said" | tail -n "${1:-4}" | sed 's#//[^/@ ]*@#//#g' | printable; }

# told STATE MESSAGE: the result, where others read it (KEY=VALUE lines), and for the journal.
told() {
  state=$1 message=$(printf '%s' "$2" | printable)
  printf '%s: %s\n' "$state" "$message"
  [ "$mode" = run ] || return 0
  printf '%s\n' "time=$(date +%s)" "state=$state" "commit=$commit" "message=$message" >"$base/result.new"
  mv -f "$base/result.new" "$base/result"
}
stop() { told "$@" >&2; exit 1; }

fetched() {
  # Options are before the address.
  case $1 in -*) set -- "$1" "$url" "$2" ;; *) set -- --no-prune "$url" "$1" ;; esac
  git_here fetch --quiet --no-tags --no-auto-gc --no-write-fetch-head "$@" >"$said" 2>&1 ||
    stop unreachable "$ref of $url: $(last_words)"
}
fetch() {
  [ -d "$tree/.git" ] || { mkdir -p "$tree" && git_here init --quiet; }
  fetched "+$ref:refs/wanted"
  [ -z "$ring" ] || fetched --prune "+$reports*:$reports*"
}

# What is signed: the commit, or the tag of that very name; an old signed tag under another name is none.
signed() {
  wanted=$(git_here rev-parse --verify --quiet refs/wanted)
  case $(git_here cat-file -t "$wanted") in
    commit) verify verify-commit "$wanted" || stop refused "commit $wanted is not signed by an allowed signer: $(last_words)" ;;
    tag)
      tag=$(git_here cat-file tag "$wanted" | sed -n '/^$/q; s/^tag //p')
      [ "$tag" = "${ref#refs/tags/}" ] || stop refused "$ref is the tag $tag under another name"
      verify verify-tag "$wanted" || stop refused "the tag $tag is not signed by an allowed signer: $(last_words)" ;;
    *) stop refused "$ref is neither a commit nor a tag" ;;
  esac
  commit=$(git_here rev-parse --verify --quiet "$wanted^{commit}") || stop refused "the tag $ref names no commit"
  [ ! -s "$base/converged" ] || git_here merge-base --is-ancestor "$(cat "$base/converged")" "$commit" 2>/dev/null ||
    stop refused "$commit is not a descendant of $(cat "$base/converged"), which this host has; to take it all the same, enroll --remove, then enroll"
}

# A host's report is a commit without files, refs/openclaw-pull/RING/HOST. Its subject: healthy COMMIT SINCE NOW, failed
# COMMIT, or enrolled. Both times are of that host's clock, so no two clocks are compared, and one that has died does
# not grow old as a healthy one.
report_of() { git_here log -1 --format=%s "$1" 2>/dev/null || :; }
report() {
  [ -n "$ring" ] || return 0
  mine=$reports$ring/$name
  subject=$1
  if [ "$1" = healthy ]; then
    set -- $(report_of "$mine")
    now=$(date +%s) since=
    [ "${1:-} ${2:-}" != "healthy $commit" ] || since=${3:-}
    subject="healthy $commit ${since:-$now} $now"
  elif [ "$1" = enrolled ] && [ -n "$(report_of "$mine")" ]; then
    subject=$(report_of "$mine")
  fi
  made=$(git_here commit-tree -m "$subject" "$(git_here hash-object -w -t tree /dev/null)")
  set -- "+$made:$mine"
  # Of another ring, in which the host was before.
  for other in $(git_here for-each-ref --format='%(refname)' "$reports*/$name"); do
    [ "$other" = "$mine" ] || set -- "$@" ":$other"
  done
  git_here push --quiet -- "$url" "$@" >"$said" 2>&1 || return 1
  git_here update-ref "$mine" "$made"
}

# waits: why the rings before do not let this host go on; nothing when they do.
waits() {
  [ -n "$ring" ] && [ "$ring" -gt 0 ] || return 0
  before=
  for one in $(git_here for-each-ref --format='%(refname)' "$reports"); do
    place=${one#"$reports"}
    case ${place%%/*} in '' | *[!0-9]*) continue ;; esac
    [ "${place%%/*}" -lt "$ring" ] || continue
    before=yes
    set -- $(report_of "$one")
    case ${1:-} in
      healthy) ;;
      failed) [ "${2:-}" != "$commit" ] || { echo "ring ${place%%/*}: ${place#*/} failed"; return; } ;;
    esac
    [ "${1:-} ${2:-}" = "healthy $commit" ] || { echo "ring ${place%%/*}: ${place#*/} has not reported it healthy"; return; }
    case ${3:-}${4:-} in '' | *[!0-9]*) echo "ring ${place%%/*}: ${place#*/} reports no time"; return ;; esac
    [ $(($4 - $3)) -ge "$soak" ] ||
      { echo "ring ${place%%/*}: ${place#*/} is healthy for $(($4 - $3)) s of the $soak s that it soaks"; return; }
  done
  [ -n "$before" ] || echo "no host of a ring before $ring is enrolled"
}

converge() {
  git_here checkout --quiet --force --detach "$commit" >"$said" 2>&1 || stop failed "checkout: $(last_words)"
  [ -x "$tree/claw" ] || stop refused "the repository has no ./claw at its root: it is to be a clone of the toolkit"
  [ -f "$tree/$inventory" ] || stop refused "the repository has no $inventory"
  cd "$tree"
  if [ -e "$environment" ]; then
    [ "$(stat -L -c '%u %a' "$environment")" = "$(id -u) 600" ] || stop failed "$environment: must be root's, with mode 600"
    set -a
    . "$environment"
    set +a
  fi
  status=0
  timeout -k 60 10800 ./claw up "$inventory" --as "$name" "$@" >"$said" 2>&1 </dev/null 9>&- || status=$?
  cd /
}

mkdir -p "$base"
if [ "$mode" = leave ]; then
  [ -n "$ring" ] && [ -d "$tree/.git" ] || exit 0
  git_here fetch --quiet --no-tags --prune -- "$url" "+$reports*:$reports*" >/dev/null 2>&1 || :
  set --
  for one in $(git_here for-each-ref --format='%(refname)' "$reports*/$name"); do set -- "$@" ":$one"; done
  [ $# = 0 ] || git_here push --quiet -- "$url" "$@" >"$said" 2>&1 || stop unreachable "$url: $(last_words)"
  exit 0
fi

exec 9>"$base/lock"
flock -n 9 || { [ "$mode" = try ] && flock -w 900 9; } || { echo 'another pull is going on' >&2; exit 0; }
fetch
signed
if [ "$mode" = try ]; then
  converge --dry
  case $status in 0 | 2) ;; *)
    ! grep -q 'environment variable' "$said" || echo "(env: is read from $environment)" >>"$said"
    stop failed "$name cannot be converged to $commit: $(last_words 12)" ;;
  esac
  report enrolled || stop unreachable "the repository takes no report, which rings need (a deploy key that may push): $(last_words)"
  echo "$commit is signed, and $name can be converged to it"
  exit 0
fi
if [ -e "$stopped" ]; then told waiting "the gateway is stopped on purpose; ./claw start starts it"; exit 0; fi
if [ "$commit" != "$(cat "$base/converged" 2>/dev/null)" ]; then
  why=$(waits)
  if [ -n "$why" ]; then told waiting "$why"; exit 0; fi
fi
converge -y --wait-lock 60
cat "$said"
if [ $status != 0 ] && held=$(grep -F ' is changing this host since ' "$said"); then
  told waiting "another run: $held"
  exit 0
fi
if [ $status != 0 ]; then
  why="./claw up ended with $status: $(last_words)"
  report "failed $commit" || why="$why; and this could not be reported"
  stop failed "$why"
fi
printf '%s\n' "$commit" >"$base/converged.new"
mv -f "$base/converged.new" "$base/converged"
what=$(grep -F "$name: " "$said" | tail -n 1 | printable)
report healthy || stop unreported "converged, but the repository takes no report: $(last_words)"
told converged "$what"
