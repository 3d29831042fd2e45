// `npm run docs`: writes the parts of the documentation that the code knows better: options, exit codes, metrics.
//
// A part lies between `<!-- generated:NAME -->` and `<!-- end -->` in any Markdown file; everything around it is written by
// hand. test/docs.test.ts fails when a part is not what this would write.

import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configMarkdown } from "../src/config.ts";
import { scrapeDefinitions } from "../src/supervisor/metrics.ts";
import { ExitCode } from "../src/supervisor/exit-codes.ts";

const ROOT = join(import.meta.dirname, "..");

/** The options that most people set; docs/configuration.md has all. */
const EVERYDAY = [
  "GRPC_LISTEN",
  "ADMIN_LISTEN",
  "WORKERS",
  "KAFKA_BROKERS",
  "KAFKA_CLIENT",
  "GRPC_SERVER",
  "DATA_DIR",
  "LOG_LEVEL",
];

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line), ""].join("\n");
}

function everydayOptions(): string {
  const [head, rule, ...rows] = configMarkdown().split("\n");
  return [head, rule, ...rows.filter((row) => EVERYDAY.some((name) => row.startsWith(`| \`${name}\` |`))), ""].join(
    "\n",
  );
}

/** The meanings are the comments of the table in the source. */
function exitCodes(): string {
  const source = readFileSync(join(ROOT, "src/supervisor/exit-codes.ts"), "utf8");
  const meanings = new Map(
    Array.from(source.matchAll(/\/\*\* (.*?) \*\/\s+([A-Z_]+): \d+/gs), ([, meaning, name]) => [name, meaning]),
  );
  const rows = Object.entries(ExitCode).map(([name, code]) => {
    const meaning = meanings.get(name);
    if (meaning === undefined) throw new Error(`src/supervisor/exit-codes.ts says nothing about ${name}`);
    return [String(code), `\`${name}\``, meaning];
  });
  return table(["code", "name", "meaning"], rows);
}

function metrics(): string {
  const rows = scrapeDefinitions().map(({ name, type, labels, perWorker, help }) => {
    const all = [...labels, ...(perWorker ? ["worker"] : [])].map((label) => `\`${label}\``);
    return [`\`${name}\``, type, all.join(", "), help];
  });
  return table(["name", "type", "labels", "meaning"], rows);
}

const PARTS: Readonly<Record<string, () => string>> = {
  configuration: configMarkdown,
  "configuration-everyday": everydayOptions,
  "exit-codes": exitCodes,
  metrics: metrics,
};

/** The Markdown files of the repository, relative to its root. */
export function documents(): string[] {
  return globSync(["*.md", "docs/**/*.md"], { cwd: ROOT }).sort();
}

/** A document as it should be. Throws for a part that nobody knows. */
export function generated(markdown: string): string {
  return markdown.replaceAll(/<!-- generated:(\S+) -->\n.*?<!-- end -->/gs, (_whole, name: string) => {
    const part = PARTS[name];
    if (part === undefined)
      throw new Error(`generated:${name}: no such part; there are ${Object.keys(PARTS).join(", ")}`);
    return `<!-- generated:${name} -->\n<!-- oxfmt-ignore -->\n${part()}\n<!-- end -->`;
  });
}

if (import.meta.main) {
  for (const document of documents()) {
    const path = join(ROOT, document);
    const before = readFileSync(path, "utf8");
    const after = generated(before);
    if (after === before) continue;
    writeFileSync(path, after);
    process.stdout.write(`${document}\n`);
  }
}
