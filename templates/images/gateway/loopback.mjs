// loopback.mjs PORT CONTAINER TARGET: opens 127.0.0.1:PORT here for as long as a container of the engine runs, and passes
// connections on to its port TARGET, over the network that both are on. Started by docker-loopback.sh.
import { execFile } from "node:child_process";
import { connect, createServer } from "node:net";

const [port, container, target] = process.argv.slice(2);
const address = () => new Promise((resolve) => {
  execFile("/usr/local/lib/openclaw/docker", ["inspect", container], { maxBuffer: 1 << 24 }, (error, said) => {
    const [found] = error ? [] : JSON.parse(said);
    resolve(found?.State.Running ? Object.values(found.NetworkSettings.Networks)[0]?.IPAddress : "");
  });
});
const leave = () => process.exit(0);
const server = createServer(async (client) => {
  client.on("error", () => client.destroy());
  const host = await address();
  if (!host) return leave();
  const upstream = connect(Number(target), host);
  for (const [from, to] of [[client, upstream], [upstream, client]]) {
    from.on("error", () => to.destroy()).on("close", () => to.destroy()).pipe(to);
  }
});
let attempts = 8; // an earlier container had the port: its process ends when it notices
server.on("error", () => { if (attempts-- > 0) setTimeout(listen, 250); else leave(); });
const listen = () => server.listen(Number(port), "127.0.0.1");
listen();
setInterval(async () => { if (!await address()) leave(); }, 30000);
