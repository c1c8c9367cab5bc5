// Container health: exit 0 when the gateway answers its liveness probe.
const port = process.env.OPENCLAW_GATEWAY_PORT || "18789";
const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(8000) });
process.exit(answer.ok ? 0 : 1);
