// Services on port 443, as far as OpenClaw uses them: OpenAI's log-in (auth.openai.com: device code, and OAuth
// with PKCE) and Telegram's Bot API (api.telegram.org), which knows two bots, 111111 and 111112. services.mjs ADDRESS
// CERTIFICATE KEY, the last two PEM in base64. Posted to /approve: the user has typed the code; to /authorize?challenge=C: has signed in, and the
// answer is the code that the browser is sent back with; to /revoke: the bot whose token nobody takes.
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:https";

const [cert, key] = process.argv.slice(3).map((one) => Buffer.from(one, "base64"));
const codes = new Map(), device = { id: "device-1", code: "ABCD-EFGHJ", approved: false };
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const token = () => `${part({ alg: "none" })}.${part({
  exp: Math.floor(Date.now() / 1000) + 864000,
  email: "somebody@example.org",
  "https://api.openai.com/profile": { email: "somebody@example.org" },
  "https://api.openai.com/auth": { chatgpt_account_id: "account-1", chatgpt_user_id: "user-1", chatgpt_plan_type: "plus" },
})}.canary-${randomBytes(8).toString("hex")}`;
const challenged = (verifier) => createHash("sha256").update(verifier).digest("base64url");

function answer(path, query, body) {
  if (path === "/api/accounts/deviceauth/usercode") return [200, { device_auth_id: device.id, user_code: device.code, interval: "1" }];
  if (path === "/api/accounts/deviceauth/token") {
    if (!device.approved || JSON.parse(body).user_code !== device.code) return [403, { error: "authorization_pending" }];
    const verifier = randomBytes(32).toString("base64url"), code = randomBytes(8).toString("hex");
    codes.set(code, challenged(verifier));
    return [200, { authorization_code: code, code_verifier: verifier, code_challenge: challenged(verifier) }];
  }
  if (path === "/approve") return [200, { approved: (device.approved = true) }];
  if (path === "/revoke") return [200, { revoked: (revoked = body) }];
  if (path === "/authorize") {
    const code = randomBytes(8).toString("hex");
    codes.set(code, query.get("challenge"));
    return [200, { code }];
  }
  if (path === "/oauth/token") {
    const form = new URLSearchParams(body), wanted = codes.get(form.get("code"));
    if (!wanted || challenged(form.get("code_verifier") ?? "") !== wanted) return [400, { error: "invalid_grant" }];
    codes.delete(form.get("code"));
    return [200, { access_token: token(), refresh_token: `canary-${randomBytes(8).toString("hex")}`, id_token: token(), expires_in: 864000 }];
  }
  return [404, { error: "not here" }];
}

let revoked = "";
function telegram(token, method) {
  const [id] = token.split(":");
  if (!["111111", "111112"].includes(id) || id === revoked) return [401, { ok: false, error_code: 401, description: "Unauthorized" }];
  const me = { id: Number(id), is_bot: true, first_name: "Stand-in", username: `stand_in_${id}_bot` };
  return [200, { ok: true, result: { getMe: me, getUpdates: [], getWebhookInfo: { url: "" } }[method] ?? true }];
}

createServer({ cert, key }, (request, response) => {
  let body = "";
  request.on("data", (one) => (body += one));
  request.on("end", () => {
    const { pathname, searchParams } = new URL(request.url, "https://auth.openai.com");
    const [, token, method] = pathname.match(/^\/bot([^/]+)\/(\w+)$/) ?? [];
    const [status, said] = token ? telegram(token, method) : answer(pathname, searchParams, body);
    console.log(`${request.method} ${token ? `/bot/${method}` : pathname} ${status}`);
    response.writeHead(status, { "content-type": "application/json" });
    // Who waits for messages waits for them.
    setTimeout(() => response.end(JSON.stringify(said)), method === "getUpdates" && status === 200 ? 5000 : 0);
  });
}).listen(443, process.argv[2], () => console.log("listens"));
