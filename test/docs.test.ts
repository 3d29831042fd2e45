// The documentation says what the code does: generated parts, the map of files, and everything that is named by its path.

import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { documents, generated } from "../scripts/docs.ts";

const ROOT = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

/** Without fenced blocks, whose content is code. */
const prose = (markdown: string) => markdown.replaceAll(/^ *```.*?^ *```/gms, "");

test("the generated parts are what `npm run docs` writes", () => {
  for (const document of documents()) assert.equal(read(document), generated(read(document)), document);
});

test("every option, exit code and metric is documented", () => {
  const parts = documents().flatMap((document) =>
    Array.from(read(document).matchAll(/<!-- generated:(\S+) -->/g), ([, name]) => name),
  );
  for (const part of ["configuration", "configuration-everyday", "exit-codes", "metrics"])
    assert.ok(parts.includes(part), `no document has the part ${part}`);
});

test("the map of files in docs/ARCHITECTURE.md names every source file once, and none that is not there", () => {
  const named: string[] = [];
  let folder = "";
  for (const line of read("docs/ARCHITECTURE.md").split("\n")) {
    const heading = /^#+ (?:`(src\/[\w/-]*)`)?/.exec(line);
    if (heading !== null) folder = heading[1] ?? "";
    const file = /^- `([\w/.-]+)`:? /.exec(line)?.[1];
    if (folder !== "" && file !== undefined) named.push(join(folder, file));
  }
  const sources = globSync("src/**/*.ts", { cwd: ROOT }).filter((path) => !path.startsWith(join("src", "gen")));
  assert.deepEqual(
    {
      missing: sources.filter((path) => !named.includes(path)),
      superfluous: named.filter((path) => !sources.includes(path)),
      twice: named.filter((path, i) => named.indexOf(path) !== i),
    },
    { missing: [], superfluous: [], twice: [] },
  );
});

test("paths in the documentation exist", () => {
  const missing = documents().flatMap((document) => {
    const text = prose(read(document));
    const paths = Array.from(
      text.matchAll(/`((?:src|test|scripts|bench|docs|proto|bin|lab)\/[\w./-]+)`/g),
      ([, path]) => join(ROOT, path!),
    );
    const drawn = Array.from(read(document).matchAll(/\b(?:src|test|scripts|bench)\/[\w/.-]+\.ts\b/g), ([path]) =>
      join(ROOT, path),
    );
    const links = Array.from(text.matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)/g), ([, path]) =>
      join(ROOT, dirname(document), path!),
    );
    return [...paths, ...drawn, ...links].filter((path) => !existsSync(path)).map((path) => `${document}: ${path}`);
  });
  assert.deepEqual(missing, []);
});

test("npm scripts in the documentation exist", () => {
  const { scripts } = JSON.parse(read("package.json")) as { readonly scripts: Readonly<Record<string, string>> };
  for (const document of documents())
    for (const [, name] of read(document).matchAll(/npm run(?: -s)? ([a-z:]+)/g))
      assert.ok(scripts[name!] !== undefined, `${document}: npm run ${name}`);
});

test("every sentence of docs/guarantees.md names tests that hold it, and they exist", () => {
  const text = read("docs/guarantees.md");
  const sentences = text.split(/^- /m).slice(1);
  for (const sentence of sentences) assert.match(sentence, /Held by `test\//, `nothing holds: ${sentence}`);
  const missing: string[] = [];
  for (const [, path, names] of text.matchAll(/Held by `([^`]+)`:((?:\s+"[^"]+"[;.])+)/g)) {
    const source = existsSync(join(ROOT, path!)) ? readFileSync(join(ROOT, path!), "utf8") : "";
    for (const [, name] of names!.matchAll(/"([^"]+)"/g))
      if (!source.includes(name!.replaceAll(/\s+/g, " "))) missing.push(`${path}: ${name}`);
  }
  assert.deepEqual(missing, []);
  const held = text.split("Held by").length - 1;
  assert.equal(Array.from(text.matchAll(/Held by `[^`]+`: "[^"]+"(?:; "[^"]+")*\./g)).length, held, "each is readable");
});

test("every package that the service is installed with stands in the list of dependencies, with what it is for", () => {
  const { dependencies } = JSON.parse(read("package.json")) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  const rows = read("docs/adr/0009-dependencies.md").matchAll(/^\| (`[^|]+`) +\|/gm);
  const named = Array.from(rows, ([, names = ""]) => names.replaceAll("`", "").trim().split(", ")).flat();
  const covers = (row: string, name: string) => (row.endsWith("/*") ? name.startsWith(row.slice(0, -1)) : row === name);
  const missing = Object.keys(dependencies).filter((name) => !named.some((row) => covers(row, name)));
  assert.ok(named.length > 10);
  assert.deepEqual(missing, []);
});
