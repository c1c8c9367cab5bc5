# explain LOG [SETTING]: one line that says why a build or a pull failed, or else the end of its log; SETTING named the
# Debian packages.
# Credentials in addresses are left out.
explain() {
  reason=$(awk -v setting="(${2:-gateway.apt_packages})" '
    function say(text) { if (!said) { print text; said = 1 } }
    function after(text) { return substr($0, index($0, text) + length(text)) }
    { $0 = substr($0, 1, 4000); sub(/\r$/, ""); sub(/^#[0-9]+ [0-9.]+ /, ""); gsub(/:\/\/[^\/@ ]*@/, "://") }
    /E: Unable to locate package / { say("Debian package " after("locate package ") " does not exist in this release " setting) }
    /E: Couldn.t find any package by / { say("Debian package " $NF " does not exist in this release " setting) }
    /E: Version .* was not found/ { say("Debian package: " after("E: ") " " setting) }
    /E: Package .* has no installation candidate/ { say("Debian package: " after("E: ") " " setting) }
    /ERROR: No matching distribution found for / { say("Python package " after("found for ") " does not exist (gateway.pip_packages)") }
    /ERROR: Invalid requirement/ { say("Python package: " after("ERROR: ") " (gateway.pip_packages)") }
    /integrity of npm package / { say("refused: " after("integrity of ")) }
    /npm package .* cannot be fetched as the lock has it/ { say("refused: " after("npm package ")) }
    /No matching version found for |E404.*not found|404 Not Found.*npm/ { say("npm: " after("npm error ")) }
    /toomanyrequests|Too Many Requests|(^|[^0-9.])429 / { say("the registry limits pulls (429 toomanyrequests): wait, log in with docker login on the host, or set engine.registry_mirrors") }
    /unauthorized|authentication required|no basic auth credentials/ { say("the registry wants a login (unauthorized): run docker login on the host as root") }
    /pull access denied|requested access to the resource is denied|insufficient_scope/ { say("no such image, or the registry wants a login (access denied): check the reference, or run docker login on the host as root") }
    /manifest unknown|name unknown|manifest for .* not found/ { say("no such image in the registry: check name and tag") }
    /no matching manifest for / { say("the image has no variant for this architecture: " after("no matching manifest for ")) }
    /no space left on device|ENOSPC/ { say("no space left on the disk: docker system df shows what uses it") }
    /SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY|certificate verify failed|certificate signed by unknown authority|Certificate verification failed/ { say("a TLS certificate is not trusted: behind an inspecting proxy add its CA on the host (update-ca-certificates) and keep trust_host_cas on") }
    /exit code: 137/ { say("a step was killed, most likely for want of memory (exit code 137)") }
    /Could not resolve|Temporary failure resolving|EAI_AGAIN|ENOTFOUND|no such host|ECONNREFUSED|ECONNRESET|ETIMEDOUT|connection refused|i\/o timeout|Could not connect|Network is unreachable|Client.Timeout exceeded/ { if (!network) network = $0 }
    END { if (!said && network) print "a source cannot be reached: " network }
  ' "$1")
  if [ -n "$reason" ]; then
    echo "$reason"
  else
    tail -n 15 "$1" | cut -b -2000 | sed 's#://[^/@ ]*@#://#g'
  fi
}
