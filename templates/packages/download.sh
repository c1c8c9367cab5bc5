# Whether apt could fetch an address with the host's own configuration (proxies, CAs); prints why not.
# Nothing is read from the answer, so a host that has no CAs yet need not verify it.
download() {
  verify=; [ -s /etc/ssl/certs/ca-certificates.crt ] || verify='-o Acquire::https::Verify-Peer=false'
  directory=$(mktemp -d)
  timeout 10 /usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root -o Acquire::Retries=0 \
    -o Acquire::http::Timeout=4 -o Acquire::https::Timeout=4 $verify download-file "$1" "$directory/file" 2>&1 |
    sed -n 's/^E: *//p' | sed 's#//[^/@]*@#//#g' | head -1
  [ -s "$directory/file" ]; found=$?
  rm -rf "$directory"
  return $found
}
