// gRPC's official interop client in Go against both servers.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Subject, SUBJECTS, startSubject } from "../interop/subjects.ts";
import { certificate } from "../support/certificate.ts";
import { judgeTest } from "./support/judge.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

/** All that it has but those that need accounts of Google (`*_creds`, `*_credentials`, `*_token`) or ORCA load reports. */
const CASES = [
  "empty_unary",
  "large_unary",
  "client_streaming",
  "server_streaming",
  "ping_pong",
  "empty_stream",
  "timeout_on_sleeping_server",
  "cancel_after_begin",
  "cancel_after_first_response",
  "custom_metadata",
  "status_code_and_message",
  "special_status_message",
  "unimplemented_method",
  "unimplemented_service",
  "pick_first_unary",
];

for (const subject of SUBJECTS) {
  judge(subject, "in plaintext");
  judge(subject, "over TLS");
}

function judge(subject: Subject, how: "in plaintext" | "over TLS"): void {
  judgeTest("go-interop", `the Go interop client passes on ${subject.name} ${how}`, async (client, context) => {
    await using folder = await temporaryFolder();
    const tls = how === "over TLS" ? certificate() : undefined;
    await using server = await startSubject(subject, tls);
    const options = ["-server_host=127.0.0.1", `-server_port=${server.port}`];
    if (tls !== undefined) {
      const ca = join(folder.path, "ca.pem");
      await writeFile(ca, tls.cert);
      options.push("-use_tls", "-use_test_ca", `-ca_file=${ca}`, "-server_host_override=localhost");
    }
    for (const name of CASES)
      await context.test(name, async () => {
        await client.passes([...options, `-test_case=${name}`]);
      });
  });
}
