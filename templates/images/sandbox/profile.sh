# Read by login shells, with which OpenClaw runs commands (sh -lc). The root file system may be read-only: what tools keep
# goes to the home directory, which OpenClaw makes the workspace, or to /tmp where that cannot be written.
[ -w "${HOME:-/}" ] || export HOME=/tmp
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}"
export GOPATH="${GOPATH:-$XDG_CACHE_HOME/go}" CARGO_HOME="${CARGO_HOME:-$XDG_CACHE_HOME/cargo}"
export npm_config_cache="${npm_config_cache:-$XDG_CACHE_HOME/npm}" npm_config_prefix="${npm_config_prefix:-$XDG_CACHE_HOME/npm-global}"
export pnpm_config_store_dir="${pnpm_config_store_dir:-$XDG_CACHE_HOME/pnpm}" BUN_INSTALL="${BUN_INSTALL:-$XDG_CACHE_HOME/bun}"
export PATH="$PATH:$GOPATH/bin:$CARGO_HOME/bin:$npm_config_prefix/bin:$BUN_INSTALL/bin"
