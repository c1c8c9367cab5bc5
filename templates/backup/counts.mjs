// What a state of OpenClaw's holds, as one line of JSON; argument: its directory. The tables are those of
// docs/reference/database-schemas/layout.md; one that a release does not have counts as absent.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
const state = process.argv.at(-1);
const count = (file, table) => {
  if (!existsSync(file)) return null;
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return database.prepare(`select count(*) as number from ${table}`).get().number;
  } catch (error) {
    if (/no such table/.test(error.message)) return null;
    throw error;
  } finally {
    database.close();
  }
};
const names = (directory) => (existsSync(directory) ? readdirSync(directory) : []);
const shared = `${state}/state/openclaw.sqlite`;
const agents = names(`${state}/agents`).map((name) => `${state}/agents/${name}/agent/openclaw-agent.sqlite`);
const ofAgents = (table) => agents.map((file) => count(file, table)).reduce((sum, number) => sum + (number ?? 0), 0);
let configuration = {};
try {
  configuration = JSON.parse(readFileSync(`${state}/openclaw.json`, "utf8"));
} catch {} // JSON5, or none: its channels are not counted
console.log(
  JSON.stringify({
    agents: agents.filter((file) => existsSync(file)).length,
    sessions: ofAgents("session_nodes"),
    messages: ofAgents("transcript_events"),
    credentials: ofAgents("auth_profile_store"),
    cron_jobs: count(shared, "cron_jobs"),
    devices: count(shared, "device_pairing_paired"),
    channels: Object.keys(configuration?.channels ?? {}).length,
    skills: names(`${state}/skills`).length,
  }),
);
