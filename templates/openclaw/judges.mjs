// Asks several commands of OpenClaw's command line in one process: to start it takes as long as most of them do.
// Arguments: "NAME WORDS..." each; a line "NAME ANSWER" is printed for each that answered.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const found = process.env.PATH.split(":").map((at) => path.join(at, "openclaw")).find((at) => fs.existsSync(at));
const program = fs.realpathSync(found);
// What openclaw.mjs itself goes on to; a release that has it elsewhere says nothing here, and is asked command by command.
const { runCli } = await import(pathToFileURL(path.join(path.dirname(program), "dist/cli/run-main.js")).href);
const write = process.stdout.write.bind(process.stdout);
for (const asked of process.argv.slice(2)) {
  const [name, ...words] = asked.split(" ");
  let said = "";
  process.stdout.write = (text, ...more) => {
    said += text;
    more.find((one) => typeof one === "function")?.();
    return true;
  };
  process.argv = [process.execPath, program, ...words];
  // What it ends with is in its answer, or there is none.
  await runCli(process.argv).catch(() => {});
  await new Promise((written) => write(said && `${name} ${said.replaceAll("\n", " ")}\n`, written));
}
process.exit();
