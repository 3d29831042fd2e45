// gRPC's official interop client in Java against both servers: it has the cases with compression, which the Go one lacks.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Subject, SUBJECTS, startSubject } from "../interop/subjects.ts";
import { certificate } from "../support/certificate.ts";
import { judgeTest } from "./support/judge.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

/**
 * All that it has but those that need accounts of Google (`*_creds`, `*_credentials`, `*_token`) or ORCA load reports, and
 * cacheable_unary, which sends a GET: gRPC over HTTP/2 has POST alone; and pick_first_unary, which is about clients, and slow.
 */
const CASES = [
  "empty_unary",
  "large_unary",
  "client_streaming",
  "server_streaming",
  "ping_pong",
  "empty_stream",
  "custom_metadata",
  "status_code_and_message",
  "special_status_message",
  "unimplemented_method",
  "unimplemented_service",
  "cancel_after_begin",
  "cancel_after_first_response",
  "timeout_on_sleeping_server",
  "very_large_request",
  "rpc_soak",
  "channel_soak",
  // Compressed requests are sent in these as well, without asking first whether the server tells them from others.
  "client_compressed_unary_noprobe",
  "client_compressed_streaming_noprobe",
];

/** grpc-js can do none of it: it compresses no answer, and does not tell whether a message was compressed. */
const COMPRESSION_CASES = [
  "client_compressed_unary",
  "client_compressed_streaming",
  "server_compressed_unary",
  "server_compressed_streaming",
];

/** The transport is what differs: not each case again. */
const TLS_CASES = ["large_unary", "ping_pong", "custom_metadata", "cancel_after_first_response", "very_large_request"];

// How long a call takes is not judged here.
const SOAK = ["--soak_per_iteration_max_acceptable_latency_ms=20000", "--soak_overall_timeout_seconds=60"];

for (const subject of SUBJECTS) {
  judge(subject, "in plaintext", subject.compression ? [...CASES, ...COMPRESSION_CASES] : CASES);
  judge(subject, "over TLS", TLS_CASES);
}

function judge(subject: Subject, how: "in plaintext" | "over TLS", cases: readonly string[]): void {
  judgeTest("java-interop", `the Java interop client passes on ${subject.name} ${how}`, async (client, context) => {
    await using folder = await temporaryFolder();
    const tls = how === "over TLS" ? certificate() : undefined;
    await using server = await startSubject(subject, tls);
    const options = ["--server_host=localhost", `--server_port=${server.port}`, `--use_tls=${tls !== undefined}`];
    const jvm = tls === undefined ? {} : { JAVA_TOOL_OPTIONS: await trusting(tls.cert, folder.path) };
    for (const name of cases) {
      await context.test(name, async () => {
        const soak = name.endsWith("_soak") ? SOAK : [];
        await client.passes([...options, ...soak, `--test_case=${name}`], { env: jvm });
      });
    }
  });
}

/** Options of a JVM that trusts this certificate alone. */
async function trusting(cert: string, folder: string): Promise<string> {
  const pem = join(folder, "ca.pem");
  const store = join(folder, "trust.p12");
  await writeFile(pem, cert);
  const options = ["-noprompt", "-alias", "ca", "-file", pem, "-keystore", store, "-storepass", "changeit"];
  await promisify(execFile)("keytool", ["-importcert", ...options]);
  return `-Djavax.net.ssl.trustStore=${store} -Djavax.net.ssl.trustStorePassword=changeit`;
}
