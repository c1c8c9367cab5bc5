// A device that nobody has let in: run inside the gateway's container, it comes by an address that is not loopback.
// Arguments: the port, the device's name, and a seed of 64 hexadecimal digits. Prints what the gateway says.
import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";
import { networkInterfaces } from "node:os";

const [port, displayName, seed] = process.argv.slice(2);
const key = createPrivateKey({ key: Buffer.from(`302e020100300506032b657004220420${seed}`, "hex"), format: "der", type: "pkcs8" });
const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
const id = createHash("sha256").update(publicKey).digest("hex");
const address = Object.values(networkInterfaces()).flat().find((one) => !one.internal && one.family === "IPv4").address;
const token = process.env.OPENCLAW_GATEWAY_TOKEN;
const client = { id: "openclaw-android", displayName, version: "1.0.0", platform: "android", mode: "ui" };
const scopes = ["operator.read", "operator.write"];

const socket = new WebSocket(`ws://${address}:${port}`);
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.event === "connect.challenge") {
    const { nonce, ts } = message.payload;
    const signed = ["v3", id, client.id, client.mode, "operator", scopes.join(","), ts, token, nonce, client.platform, ""].join("|");
    const device = { id, publicKey: publicKey.toString("base64url"), signature: sign(null, Buffer.from(signed), key).toString("base64url"), signedAt: ts, nonce };
    const params = { minProtocol: 3, maxProtocol: 4, client, role: "operator", scopes, caps: [], commands: [], permissions: {}, auth: { token }, locale: "en", userAgent: "test", device };
    socket.send(JSON.stringify({ type: "req", id: "1", method: "connect", params }));
  } else if (message.type === "res") {
    console.log(message.ok ? "connected" : `refused: ${message.error?.message}`);
    if (message.ok) process.exit(0);
  }
};
socket.onclose = ({ code, reason }) => { console.log(`closed ${code} ${reason}`); process.exit(1); };
setTimeout(() => { console.log("no answer"); process.exit(2); }, 20000);
