// `npm run chaos`: real brokers and the real service, broken in every way there is, under load; then the books are compared.

import { killAll } from "./child.ts";
import { HELP, parseChaosOptions } from "./chaos/options.ts";
import { report } from "./chaos/report.ts";
import { runChaos } from "./chaos/run.ts";

async function main(): Promise<number> {
  const options = parseChaosOptions(process.argv.slice(2), Math.floor(Math.random() * 1e6));
  if (options === "help") {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const { minutes, hold, json, ...rest } = options;
  const interrupted = new AbortController();
  const interrupt = (): void => {
    if (interrupted.signal.aborted) killAll();
    interrupted.abort(new Error("interrupted"));
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  const began = performance.now();
  const log = (line: string): void => {
    const seconds = ((performance.now() - began) / 1000).toFixed(1).padStart(7);
    (json ? process.stderr : process.stdout).write(`${seconds} s  ${line}\n`);
  };
  log(`seed ${rest.seed}`);
  const result = await runChaos({
    ...rest,
    durationMs: minutes * 60_000,
    holdFactor: hold,
    signal: interrupted.signal,
    log,
  });
  process.stdout.write(json ? `${JSON.stringify(result, null, 2)}\n` : `\n${report(result)}\n`);
  return result.failures.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`chaos: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
