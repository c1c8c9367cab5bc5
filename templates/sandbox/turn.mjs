// Drives agent turns without an LLM: starts a gateway and, on loopback, a scripted model that asks for tools; then
// prints, as one line of JSON, what the tools answered. Argument: the plan that operations/sandbox/proof/scripted_gateway.py makes.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";

const { port, modelPort, turns: wanted, command, readySeconds, turnSeconds } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const turns = new Map(wanted.map(({ agent, page }) => [agent, { agent, page, offered: [], results: {}, reply: "", error: null }]));
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const text = (content) => (typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join("\n"));

// The model: what it says depends on how many tool results it has seen since the question.
function nextStep({ messages, tools }) {
  const question = /proof of agent ([\w.-]+)/;
  const last = messages.findLastIndex((message) => message.role === "user" && question.test(text(message.content)));
  const turn = turns.get(question.exec(text(messages[last]?.content))?.[1]);
  if (!turn) return { content: "ok" }; // a question of the gateway's own, such as for a title
  turn.offered = (tools ?? []).map((tool) => tool.function?.name ?? tool.name);
  const wanted = [{ name: "exec", tool: "exec", arguments: { command } }];
  if (turn.page) {
    const title = `() => { document.title = ["openclaw", "proof", ${JSON.stringify(turn.page)}].join("-"); return document.title; }`;
    const steps = { open: { action: "open", targetUrl: "about:blank" }, title: { action: "act", request: { kind: "evaluate", fn: title } }, tabs: { action: "tabs" } };
    for (const [name, given] of Object.entries(steps)) wanted.push({ name, tool: "browser", arguments: { target: "sandbox", ...given } });
  }
  // What a release offers no schema of, it calls by another tool (docs: tools/tool-search).
  const called = (step) => (turn.offered.includes(step.tool) ? step : { name: step.name, tool: "tool_call", arguments: { id: step.tool, args: step.arguments } });
  const steps = wanted.map(called).filter((step) => turn.offered.includes(step.tool));
  const answers = messages.slice(last + 1).filter((message) => message.role === "tool").map((message) => text(message.content));
  steps.forEach((step, index) => { if (index < answers.length) turn.results[step.name] = answers[index]; });
  return steps[answers.length] ?? { content: "turn is over" };
}

const chunk = (delta, finish) =>
  `data: ${JSON.stringify({ id: "proof", object: "chat.completion.chunk", created: 0, model: "scripted", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

const model = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  if (request.method !== "POST") return response.writeHead(404).end();
  const step = nextStep(JSON.parse(body));
  response.writeHead(200, { "content-type": "text/event-stream" });
  if (step.tool) {
    const call = { index: 0, id: `call_${Date.now()}`, type: "function", function: { name: step.tool, arguments: JSON.stringify(step.arguments) } };
    response.write(chunk({ role: "assistant", content: null, tool_calls: [call] }, null) + chunk({}, "tool_calls"));
  } else {
    response.write(chunk({ role: "assistant", content: step.content }, null) + chunk({}, "stop"));
  }
  response.end("data: [DONE]\n\n");
});

let log = "";
let ended = null;
function startGateway() {
  const gateway = spawn("openclaw", ["gateway", "--bind", "loopback", "--port", String(port)], { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [gateway.stdout, gateway.stderr]) stream.on("data", (data) => { log = (log + data).slice(-20000); });
  gateway.on("error", (error) => { ended = String(error); });
  gateway.on("exit", (code, signal) => { ended = `the gateway ended (${signal ?? code})`; });
  return gateway;
}

async function ready() {
  const deadline = Date.now() + readySeconds * 1000;
  while (Date.now() < deadline) {
    if (ended) throw new Error(ended);
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    if (answer?.ok) return;
    await pause(250);
  }
  throw new Error(`the gateway was not ready after ${readySeconds} s`);
}

async function take(turn) {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${process.env.OPENCLAW_GATEWAY_TOKEN}`,
      "x-openclaw-session-key": `agent:${turn.agent}:proof`,
    },
    body: JSON.stringify({ model: `openclaw/${turn.agent}`, messages: [{ role: "user", content: `proof of agent ${turn.agent}` }] }),
    signal: AbortSignal.timeout(turnSeconds * 1000),
  });
  const said = await answer.text();
  if (!answer.ok) throw new Error(`HTTP ${answer.status}: ${said.slice(0, 500)}`);
  turn.reply = JSON.parse(said).choices?.[0]?.message?.content ?? "";
}

const result = { error: null, seconds: {}, turns: [...turns.values()], log: "" };
const started = Date.now();
model.listen(modelPort, "127.0.0.1");
const gateway = startGateway();
try {
  await ready();
  result.seconds.ready = (Date.now() - started) / 1000;
  for (const turn of result.turns) await take(turn).catch((error) => { turn.error = String(error.message ?? error); });
  result.seconds.turns = (Date.now() - started) / 1000 - result.seconds.ready;
} catch (error) {
  result.error = String(error.message ?? error);
}
if (result.error || result.turns.some((turn) => turn.error || !Object.keys(turn.results).length)) result.log = log.slice(-6000);
writeFileSync(1, `${JSON.stringify(result)}\n`);
gateway.kill("SIGKILL"); // its state is thrown away
process.exit(0);
