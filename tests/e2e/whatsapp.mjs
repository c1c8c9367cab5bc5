// WhatsApp's web service, as far as a device is linked to it: what its library (Baileys, in the plugin) wants of it.
// whatsapp.mjs BAILEYS PORT: the library there is pointed at this server and told to believe its certificates; what is
// posted to /scan on PORT + 1 is the text of a QR code, scanned by the phone of +15550100.
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [baileys, port] = [process.argv[2], Number(process.argv[3])];
const load = (file) => import(pathToFileURL(`${baileys}/${file}`));
const { proto } = await load("WAProto/index.js");
const { Curve } = await load("lib/Utils/crypto.js");
const { encodeBinaryNode, decodeBinaryNode } = await load("lib/WABinary/index.js");
const { NOISE_WA_HEADER } = await load("lib/Defaults/index.js");
const { WebSocketServer } = createRequire(`${baileys}/lib/index.js`)("ws");

const bytes = (...parts) => Buffer.concat(parts.map((one) => Buffer.from(one)));
const [root, intermediate, server, phone] = [1, 2, 3, 4].map(() => Curve.generateKeyPair());

const defaults = `${baileys}/lib/Defaults/index.js`;
const pointed = readFileSync(defaults, "utf8")
  .replace(/wss?:\/\/[^'"`]+\/ws\/chat/, `ws://127.0.0.1:${port}/ws/chat`)
  .replace(/(PUBLIC_KEY: Buffer\.from\(['"])[0-9a-f]{64}/, `$1${Buffer.from(root.public).toString("hex")}`);
writeFileSync(defaults, pointed);

const certificate = (serial, issuerSerial, key, issuer) => {
  const Details = proto.CertChain.NoiseCertificate.Details;
  const details = Details.encode({ serial, issuerSerial, key: Buffer.from(key), notBefore: 0, notAfter: 4102444800 }).finish();
  return { details, signature: Curve.sign(issuer.private, details) };
};
const chain = proto.CertChain.encode({
  intermediate: certificate(1, 0, intermediate.public, root),
  leaf: certificate(2, 1, server.public, intermediate),
}).finish();

// Noise_XX_25519_AESGCM_SHA256, the responder's side.
class Noise {
  constructor() {
    this.hash = Buffer.from("Noise_XX_25519_AESGCM_SHA256\0\0\0\0");
    this.salt = this.key = this.hash;
    this.counters = { write: 0, read: 0 };
    this.mix(NOISE_WA_HEADER);
  }
  mix(data) { if (!this.keys) this.hash = createHash("sha256").update(bytes(this.hash, data)).digest(); }
  derived(data) {
    const both = Buffer.from(hkdfSync("sha256", data, this.salt, "", 64));
    return [both.subarray(0, 32), both.subarray(32)];
  }
  agree(data) {
    [this.salt, this.key] = this.derived(data);
    this.counters = { write: 0, read: 0 };
  }
  nonce(which) {
    const found = Buffer.alloc(12);
    found.writeUInt32BE(this.counters[which]++, 8);
    return found;
  }
  encrypt(plain) {
    const cipher = createCipheriv("aes-256-gcm", this.keys?.write ?? this.key, this.nonce("write"));
    cipher.setAAD(this.keys ? Buffer.alloc(0) : this.hash);
    const found = bytes(cipher.update(plain), cipher.final(), cipher.getAuthTag());
    this.mix(found);
    return found;
  }
  decrypt(sealed) {
    const cipher = createDecipheriv("aes-256-gcm", this.keys?.read ?? this.key, this.nonce(this.keys ? "read" : "write"));
    cipher.setAAD(this.keys ? Buffer.alloc(0) : this.hash);
    cipher.setAuthTag(sealed.subarray(-16));
    const found = bytes(cipher.update(sealed.subarray(0, -16)), cipher.final());
    this.mix(sealed);
    return found;
  }
  finish() {
    const [read, write] = this.derived(new Uint8Array(0)); // what the client writes is what is read here
    this.counters = { write: 0, read: 0 };
    this.keys = { read, write };
  }
}

let awaiting; // the connection that shows a QR code
new WebSocketServer({ host: "127.0.0.1", port }).on("connection", (socket) => {
  const noise = new Noise(), ephemeral = Curve.generateKeyPair();
  let rest = Buffer.alloc(0), greeted = false, number = 0;
  const frame = (data) => socket.send(bytes([data.length >> 16, (data.length >> 8) & 255, data.length & 255], data));
  const node = (one) => frame(noise.encrypt(encodeBinaryNode(one)));
  const iq = (type, content, more = {}) => node({ tag: "iq", attrs: { id: `stand-in-${number++}`, from: "s.whatsapp.net", type, ...more }, content });

  const hello = (data) => {
    const { clientHello } = proto.HandshakeMessage.decode(data);
    noise.mix(clientHello.ephemeral);
    noise.mix(ephemeral.public);
    noise.agree(Curve.sharedKey(ephemeral.private, clientHello.ephemeral));
    const sealed = noise.encrypt(Buffer.from(server.public));
    noise.agree(Curve.sharedKey(server.private, clientHello.ephemeral));
    const payload = noise.encrypt(chain);
    frame(proto.HandshakeMessage.encode({ serverHello: { ephemeral: ephemeral.public, static: sealed, payload } }).finish());
  };
  const finish = (data) => {
    const { clientFinish } = proto.HandshakeMessage.decode(data);
    const key = noise.decrypt(Buffer.from(clientFinish.static));
    noise.agree(Curve.sharedKey(ephemeral.private, key));
    const client = proto.ClientPayload.decode(noise.decrypt(Buffer.from(clientFinish.payload)));
    noise.finish();
    greeted = true;
    if (client.username) {
      console.log(`logged in ${client.username}`);
      node({ tag: "success", attrs: { t: `${Math.floor(Date.now() / 1000)}`, lid: "15550100:7@lid", props: "1" } });
    } else {
      console.log("shows a code");
      awaiting = { iq, node };
      const refs = [1, 2, 3, 4, 5, 6].map((one) => ({ tag: "ref", attrs: {}, content: Buffer.from(`2@stand-in-${one}-${"r".repeat(80)}`) }));
      iq("set", [{ tag: "pair-device", attrs: {}, content: refs }]);
    }
  };
  const said = async (data) => {
    const one = await decodeBinaryNode(noise.decrypt(data));
    if (one.tag !== "iq") return;
    if (one.attrs.type === "result") {
      if (one.content?.[0]?.tag === "pair-device-sign") {
        console.log("paired");
        node({ tag: "stream:error", attrs: { code: "515" } });
      }
      return;
    }
    const content = one.content?.[0]?.tag === "count" ? [{ tag: "count", attrs: { value: "50" } }] : [];
    node({ tag: "iq", attrs: { id: one.attrs.id, from: one.attrs.to ?? "s.whatsapp.net", type: "result" }, content });
  };

  let hellos = 0;
  socket.on("message", async (message) => {
    rest = bytes(rest, message);
    if (!hellos) {
      const at = rest.indexOf(bytes(NOISE_WA_HEADER)); // routing information may come before
      rest = rest.subarray(at + NOISE_WA_HEADER.length);
    }
    while (rest.length >= 3) {
      const length = (rest[0] << 16) | (rest[1] << 8) | rest[2];
      if (rest.length < 3 + length) break;
      const data = rest.subarray(3, 3 + length);
      rest = rest.subarray(3 + length);
      try {
        if (greeted) await said(data);
        else if (hellos++) finish(data);
        else hello(data);
      } catch (error) {
        console.log(`error ${error.stack}`);
        socket.close();
      }
    }
  });
});

const scan = (text) => {
  const [, , identity, secret] = text.split("#").pop().split(",");
  const device = proto.ADVDeviceIdentity.encode({ rawId: 1, timestamp: Math.floor(Date.now() / 1000), keyIndex: 1 }).finish();
  const signed = proto.ADVSignedDeviceIdentity.encode({
    details: device,
    accountSignatureKey: Buffer.from(phone.public),
    accountSignature: Curve.sign(phone.private, bytes([6, 0], device, Buffer.from(identity, "base64"))),
  }).finish();
  const hmac = createHmac("sha256", Buffer.from(secret, "base64")).update(signed).digest();
  awaiting.iq("set", [{ tag: "pair-success", attrs: {}, content: [
    { tag: "device-identity", attrs: {}, content: proto.ADVSignedDeviceIdentityHMAC.encode({ details: signed, hmac }).finish() },
    { tag: "platform", attrs: { name: "android" } },
    { tag: "device", attrs: { jid: "15550100:7@s.whatsapp.net", lid: "15550100:7@lid" } },
  ] }]);
};
createServer((request, response) => {
  let text = "";
  request.on("data", (part) => (text += part));
  request.on("end", () => {
    try { scan(text); response.end("scanned\n"); } catch (error) { response.writeHead(500); response.end(`${error.stack}\n`); }
  });
}).listen(port + 1, "127.0.0.1", () => console.log("listens"));
