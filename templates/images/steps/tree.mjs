// What npm does not say of a tree of packages that a lock pins. tree.mjs COMMAND LOCK ...
// root: the package.json that the lock belongs to. refused LOG: the packages in npm's LOG that are not the lock's.
// missing DIRECTORY: the packages that npm left out, as it does with an optional one that it cannot fetch.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [command, file, argument] = process.argv.slice(2);
const { packages } = JSON.parse(readFileSync(file, "utf8"));
const called = (path) =>
  `${packages[path].name ?? path.replace(/^.*node_modules\//, "")}@${packages[path].version}`;

function refused(log) {
  const text = readFileSync(log, "utf8");
  // Other bytes may break the archive before they are found to be others.
  const broken = /tarball data for .* \((sha512-\S+)\) seems to be corrupted/g;
  const others = /ntegrity checksum failed when using sha512: wanted (\S+) but got (sha512-[A-Za-z0-9+/=]+)/g;
  const found = new Map([...text.matchAll(broken), ...text.matchAll(others)].map(([, wanted, got]) => [wanted, got]));
  return [...found].map(([wanted, got = "a broken archive"]) => {
    const path = Object.keys(packages).find((one) => packages[one].integrity === wanted);
    return `integrity of npm package ${path ? called(path) : "(unknown)"}: expected ${wanted}, found ${got}`;
  });
}

function missing(directory) {
  const fits = (wanted, value) => {
    const names = wanted?.filter((name) => !name.startsWith("!")) ?? [];
    return !wanted?.includes(`!${value}`) && (!names.length || names.includes(value));
  };
  const here = ({ os, cpu, libc }) =>
    fits(os, process.platform) && fits(cpu, process.arch) && fits(libc, "glibc");
  const from = (path, name) => {
    for (let place = path; ; place = place.replace(/(^|\/)node_modules\/(?:(?!\/node_modules\/).)*$/, "")) {
      const candidate = join(place, "node_modules", name);
      if (packages[candidate]) return candidate;
      if (!place) return undefined;
    }
  };
  const wanted = new Set([""]);
  for (const path of wanted) {
    const { dependencies, optionalDependencies, peerDependencies } = packages[path];
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      const found = from(path, name);
      if (found && here(packages[found])) wanted.add(found);
    }
  }
  wanted.delete("");
  const version = (path) => {
    const manifest = join(directory, path, "package.json");
    return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).version;
  };
  return [...wanted]
    .filter((path) => version(path) !== packages[path].version)
    .map((path) => `npm package ${called(path)} cannot be fetched as the lock has it`);
}

if (command === "root") console.log(JSON.stringify(packages[""]));
else {
  const said = { refused, missing }[command](argument);
  for (const line of said) console.error(line);
  process.exit(said.length ? 1 : 0);
}
