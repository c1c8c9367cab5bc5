# Fetch the signing key of Docker's repository over HTTPS, trusting the host's CAs.
main() {
  set -eu
  umask 022
  mkdir -p /etc/apt/keyrings
  new={{ (key + ".openclaw-new") | sh }}
  curl --fail --silent --show-error --location --retry 3 --max-time 60 --output "$new" {{ url | sh }}
  grep -q 'BEGIN PGP PUBLIC KEY BLOCK' "$new" || { echo {{ url | sh }}' is not an OpenPGP key' >&2; rm -f "$new"; exit 1; }
  chmod 644 "$new"
  mv -f "$new" {{ key | sh }}
}

main </dev/null
