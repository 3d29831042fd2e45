// grpcurl: the tool by which people try the service by hand. It knows the schema by reflection alone.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SUBJECTS } from "../interop/subjects.ts";
import { certificate } from "../support/certificate.ts";
import type { RunningService } from "../support/service.ts";
import { type JudgeProgram, judgeTest } from "./support/judge.ts";
import { startJudged, storedExactly, TOPIC } from "./support/judged-service.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const SERVICE = "sluice.v1.EventIngest";

function judge(name: string, title: string, body: (grpcurl: Grpcurl, service: RunningService) => Promise<void>): void {
  judgeTest("grpcurl", `grpcurl on ${name} ${title}`, async (program) => {
    await using service = await startJudged(name);
    await body(new Grpcurl(program, ["-plaintext"], service.grpcAddress), service);
  });
}

/** A call of one server. */
class Grpcurl {
  readonly #program: JudgeProgram;
  readonly #options: readonly string[];
  readonly #address: string;

  constructor(program: JudgeProgram, options: readonly string[], address: string) {
    this.#program = program;
    this.#options = options;
    this.#address = address;
  }

  /** What it prints. @param what a command or a method. */
  async passes(what: readonly string[], requests: readonly unknown[] = []): Promise<string> {
    const { args, input } = this.#command(what, requests, 30);
    return (await this.#program.passes(args, { input })).stdout;
  }

  /** What it prints when the call ends with another status than OK. */
  async fails(what: readonly string[], requests: readonly unknown[], timeoutSeconds = 30): Promise<string> {
    const { args, input } = this.#command(what, requests, timeoutSeconds);
    const { code, stderr, stdout } = await this.#program.run(args, { input });
    // 64 and the status code.
    assert.ok(code !== null && code > 64, `ended with ${code}: ${stdout}${stderr}`);
    return stdout + stderr;
  }

  #command(what: readonly string[], requests: readonly unknown[], timeoutSeconds: number) {
    const limit = ["-max-time", String(timeoutSeconds)];
    const data = requests.length === 0 ? [] : ["-d", "@"];
    const input = requests.map((request) => JSON.stringify(request)).join("\n");
    return { args: [...this.#options, ...limit, ...data, this.#address, ...what], input };
  }
}

const batch = (sequence: number, events: number) => ({
  sequence,
  topic: TOPIC,
  events: Array.from({ length: events }, (_, i) => ({ value: Buffer.from(`${sequence}/${i}`).toString("base64") })),
});

/** A service that asks clients for a certificate, and what a client needs that has one. */
async function startWithMutualTls(name: string, folder: string) {
  const [server, client] = [certificate(), certificate()];
  const file = (of: string): string => join(folder, `${of}.pem`);
  const contents = { ca: server.cert, key: server.key, "client-ca": client.cert, "client-key": client.key };
  for (const [of, content] of Object.entries(contents)) await writeFile(file(of), content);
  const service = await startJudged(name, {
    GRPC_TLS_CERT_FILE: file("ca"),
    GRPC_TLS_KEY_FILE: file("key"),
    GRPC_TLS_CLIENT_CA_FILE: file("client-ca"),
  });
  return { service, trusts: ["-cacert", file("ca")], shows: ["-cert", file("client-ca"), "-key", file("client-key")] };
}

for (const { name } of SUBJECTS) {
  judgeTest(
    "grpcurl",
    `grpcurl on ${name} over TLS is taken with a certificate, and refused without`,
    async (program) => {
      await using folder = await temporaryFolder();
      const { service, trusts, shows } = await startWithMutualTls(name, folder.path);
      await using _ = service;
      const known = new Grpcurl(program, [...trusts, ...shows], service.grpcAddress);
      assert.match(await known.passes([`${SERVICE}/Publish`], [batch(7, 3)]), /"stored": 3/);
      const { code, stderr } = await program.run([...trusts, "-connect-timeout", "2", service.grpcAddress, "list"]);
      assert.notEqual(code, 0);
      assert.match(stderr, /Failed to dial/);
      await storedExactly(service, 3);
    },
  );

  judge(name, "lists and describes the services", async (grpcurl) => {
    const services = (await grpcurl.passes(["list"])).trim().split("\n");
    assert.deepEqual(services, ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", SERVICE]);
    assert.match(await grpcurl.passes(["describe", SERVICE]), /rpc Publish \( \.sluice\.v1\.PublishRequest \)/);
    assert.match(await grpcurl.passes(["describe", "sluice.v1.PublishRequest"]), /uint64 sequence = 1;/);
  });

  judge(name, "publishes a batch, and batches on a stream", async (grpcurl, service) => {
    const answer: unknown = JSON.parse(await grpcurl.passes([`${SERVICE}/Publish`], [batch(7, 3)]));
    assert.deepEqual(answer, { sequence: "7", stored: 3, durability: "PERSISTED" });
    const batches = Array.from({ length: 50 }, (_, i) => batch(i + 1, 2));
    const answers = await grpcurl.passes([`${SERVICE}/PublishStream`], batches);
    const sequences = Array.from(answers.matchAll(/"sequence": "(\d+)"/g), ([, sequence]) => Number(sequence));
    assert.deepEqual(
      sequences.sort((a, b) => a - b),
      batches.map(({ sequence }) => sequence),
    );
    await storedExactly(service, 3 + 50 * 2);
  });

  judge(name, "shows a refusal with its details", async (grpcurl) => {
    const refused = await grpcurl.fails([`${SERVICE}/Publish`], [{ ...batch(1, 1), durability: "REPLICATED" }]);
    assert.match(refused, /Code: FailedPrecondition/);
    assert.match(refused, /"@type": "type\.googleapis\.com\/google\.rpc\.BadRequest"/);
  });

  judge(name, "checks, lists and watches health, until its deadline", async (grpcurl) => {
    assert.match(await grpcurl.passes(["grpc.health.v1.Health/Check"], [{ service: SERVICE }]), /"SERVING"/);
    assert.match(await grpcurl.fails(["grpc.health.v1.Health/Check"], [{ service: "a.B" }]), /Code: NotFound/);
    assert.match(await grpcurl.passes(["grpc.health.v1.Health/List"], [{}]), /"sluice\.v1\.EventIngest"/);
    const watched = await grpcurl.fails(["grpc.health.v1.Health/Watch"], [{}], 1);
    assert.match(watched, /"SERVING"/);
    assert.match(watched, /Code: DeadlineExceeded/);
  });
}
