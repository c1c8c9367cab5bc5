// The variables in which the release that is installed looks for the keys of the providers that its onboarding knows.
import { readdirSync, readFileSync } from "node:fs";

const [dist] = process.argv.slice(2), found = {};
const add = (id, variables) => { if (variables?.length) found[id] = [...(found[id] ?? []), ...variables]; };
for (const file of readdirSync(`${dist}/extensions`, { recursive: true }).filter((one) => /^[^/]+\/openclaw\.plugin\.json$/.test(one))) {
  const manifest = JSON.parse(readFileSync(`${dist}/extensions/${file}`, "utf8"));
  const keyed = manifest.providerAuthChoices?.some((one) => one.optionKey || ["custom", "api-key"].includes(one.method));
  if (keyed) for (const one of manifest.setup?.providers ?? []) add(one.id, one.envVars);
}
const [name] = readdirSync(dist).filter((one) => /^official-external-provider-catalog-.*\.mjs$/.test(one));
const { t: catalog } = await import(`${dist}/${name}`);
for (const entry of catalog.entries) for (const one of entry.openclaw?.providers ?? []) add(one.id, one.envVars);
console.log(JSON.stringify(found));
