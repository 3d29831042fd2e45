// The doctor beside a real service that has what the doctor is to find.

import assert from "node:assert/strict";
import test from "node:test";
import type { NamedFinding } from "../../../src/cli/doctor/finding.ts";
import { Durability } from "../../../src/gen/sluice/v1/ingest_pb.js";
import { eventually, type RunningService, startService } from "../../support/service.ts";
import { SteadyLoad } from "../../support/steady-load.ts";
import { run } from "../support.ts";

async function diagnose({ adminUrl, dataDir }: RunningService, ...args: readonly string[]): Promise<NamedFinding[]> {
  const env = { DATA_DIR: dataDir, ADMIN_LISTEN: new URL(adminUrl).host };
  return JSON.parse((await run(["doctor", "--json", ...args], { env })).stdout) as NamedFinding[];
}

const of = (findings: readonly NamedFinding[], check: string) => findings.filter((finding) => finding.check === check);

test("a service with too few file descriptors for its connections is found, and how many it may have", async () => {
  await using service = await startService({ openFilesMax: 400 });
  const [finding] = of(await diagnose(service, "--watch", "100ms"), "open-files");
  assert.equal(finding?.level, "warning");
  assert.equal(
    finding.message,
    "each worker may open 400 files: enough for 144 connections, and GRPC_CONNECTIONS_MAX is 10,000 (10,000 over 1 worker)",
  );
});

test("more workers than the host has cores are found, and clocks of one host agree", async () => {
  await using service = await startService({ env: { WORKERS: "2" } });
  const findings = await diagnose(service, "--watch", "100ms");
  assert.equal(of(findings, "clock-skew")[0]?.level, "ok");
  // How many cores this host has is not for a test to say; that the service was held against them is.
  const about = findings.filter(({ check }) => check === "sizing" || check === "workers-over-cores");
  assert.match(about[0]!.message, /^2 workers on [\d.a]+ /);
  // The same where --admin names the service, whose host the doctor cannot look at: the service tells.
  const named = await diagnose(service, "--watch", "100ms", "--admin", new URL(service.adminUrl).host);
  assert.deepEqual(
    named.filter(({ check }) => check === "sizing" || check === "workers-over-cores"),
    about,
  );
});

test("streams that all lie on one worker are found, with its number, and the one connection as the reason", async () => {
  await using service = await startService({ env: { WORKERS: "2" } });
  using load = new SteadyLoad({
    address: service.grpcAddress,
    topic: "clicks",
    durability: Durability.PERSISTED,
    streams: 1,
    batchesPerSecond: 100,
  });
  const finding = await eventually(
    "the doctor finds the worker that has everything",
    async () => of(await diagnose(service, "--watch", "2s"), "uneven-workers").find(({ level }) => level === "warning"),
    60_000,
  );
  assert.ok(load.acknowledged > 0);
  assert.match(
    finding.message,
    /^worker [01] has 100 % of [\d,]+ events in .* and 1 of 1 connection, so the others idle/,
  );
  assert.match(finding.remedy!, /at least 2 connections$/);
});

test("pods are compared where several admin ports are named", async () => {
  await using busy = await startService();
  await using idle = await startService();
  using load = new SteadyLoad({
    address: busy.grpcAddress,
    topic: "clicks",
    durability: Durability.PERSISTED,
    streams: 2,
    batchesPerSecond: 50,
  });
  const [busyHost, idleHost] = [busy, idle].map(({ adminUrl }) => new URL(adminUrl).host);
  const finding = await eventually(
    "the doctor finds the pod that has everything",
    async () => {
      const findings = await diagnose(idle, "--watch", "2s", "--admin", busyHost!, "--admin", idleHost!);
      return of(findings, "uneven-pods").find(({ level }) => level === "warning");
    },
    60_000,
  );
  assert.ok(load.acknowledged > 0);
  assert.ok(finding.message.startsWith(`${busyHost} has 100 % of `), finding.message);
});
