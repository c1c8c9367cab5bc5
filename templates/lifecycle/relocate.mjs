// The state names places by the path that it had; argument: [[old, new], ...]. Only where OpenClaw looks rows up by it: the
// jobs' `store_key` (docs of the release: reference/database-schemas/layout.md), and the index of installed plugins.
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
const file = "/home/node/.openclaw/state/openclaw.sqlite";
const moved = JSON.parse(process.argv.at(-1));
if (existsSync(file)) {
  const database = new DatabaseSync(file, { enableForeignKeyConstraints: false });
  const tables = database.prepare("select name from sqlite_master where type = 'table'").all().map((row) => row.name);
  const columns = (table) => database.prepare(`select name from pragma_table_info(?)`).all(table).map((row) => row.name);
  database.exec("begin immediate");
  for (const [old, now] of moved) {
    for (const table of tables.filter((name) => name.startsWith("cron_") && columns(name).includes("store_key"))) {
      database
        .prepare(`update "${table}" set store_key = ? || substr(store_key, ?) where substr(store_key, 1, ?) = ?`)
        .run(now, old.length + 1, old.length + 1, `${old}/`);
    }
    if (tables.includes("config_machine_state")) {
      database
        .prepare("update config_machine_state set value_json = replace(value_json, ?, ?) where state_key like 'plugins.%'")
        .run(`"${old}/`, `"${now}/`);
    }
  }
  database.exec("commit");
  database.close();
}
