# In the smoke test's container; the driver of the turn comes by standard input. A step that fails is the last one.
export NO_COLOR=1 OPENCLAW_SKIP_CHANNELS=1 OPENCLAW_GATEWAY_TOKEN="$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"
cat >/tmp/turn.mjs
step() { printf '\036%s\n' "$1"; }
quietly() { timeout -k 5 120 "$@" >/tmp/said 2>&1 </dev/null || { code=$?; tail -c 1500 /tmp/said; echo "exit $code"; exit 1; }; }
step onboarding
quietly openclaw onboard --non-interactive --accept-risk --skip-health --mode local --auth-choice skip \
  --secret-input-mode ref --gateway-auth token --gateway-token-ref-env OPENCLAW_GATEWAY_TOKEN --gateway-bind loopback \
  --gateway-port 18789 --skip-channels --skip-skills --skip-search --skip-hooks --skip-ui --skip-bootstrap \
  --no-install-daemon --json
quietly node -e '
  const fs = require("fs"), path = process.env.HOME + "/.openclaw/openclaw.json";
  const object = (value) => value && typeof value === "object" && !Array.isArray(value);
  const merge = (there, more) => {
    for (const [key, value] of Object.entries(more)) there[key] = object(value) && object(there[key]) ? merge(there[key], value) : value;
    return there;
  };
  const whole = JSON.parse(fs.readFileSync(path, "utf8"));
  if (whole.gateway?.mode !== "local") throw new Error("onboarding has left gateway.mode " + whole.gateway?.mode);
  fs.writeFileSync(path, JSON.stringify(merge(whole, JSON.parse(process.env.CONFIGURATION))));
  fs.writeFileSync("/tmp/plan.json", process.env.PLAN);'
quietly openclaw config validate
echo ok
step turn
node /tmp/turn.mjs /tmp/plan.json
step qr
quietly openclaw qr --url ws://192.168.0.2:18789
cat /tmp/said
