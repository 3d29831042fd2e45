// Opens the admin port as the configuration says, and keeps its certificate fresh: a part of the composition root.
//
// The server is loaded here, after the workers were started, so that both boot at the same time.

import { getSystemErrorMessage } from "node:util";
import type { AdminServerOptions } from "../admin/server.ts";
import type { AdminState } from "../admin/state.ts";
import type { Clock } from "../clock.ts";
import { type Address, type Config, formatAddress } from "../config.ts";
import { Code, IngestError } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { readTls, type TlsPaths } from "../tls/files.ts";
import { TlsWatch } from "../tls/watch.ts";

export interface AdminPort {
  /** Where it really listens. */
  readonly address: Address;
  /** Closes the port and every connection. */
  close(): Promise<void>;
}

/** What the operating system says, without its call and its address. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { errno, message } = error as NodeJS.ErrnoException;
  return errno === undefined ? message : getSystemErrorMessage(errno);
}

/** Undefined: the port speaks plaintext. */
export function adminTlsPaths({
  adminTlsCertFile,
  adminTlsKeyFile,
  adminTlsClientCaFile,
}: Config): TlsPaths | undefined {
  if (adminTlsCertFile === undefined || adminTlsKeyFile === undefined) return undefined;
  return {
    options: "ADMIN_TLS",
    certFile: adminTlsCertFile,
    keyFile: adminTlsKeyFile,
    clientCaFile: adminTlsClientCaFile,
  };
}

/** @throws IngestError that names the option, if it cannot listen or there is no certificate. */
export async function openAdminPort(state: AdminState, config: Config, clock: Clock, log: Logger): Promise<AdminPort> {
  const { adminListen, adminToken } = config;
  const paths = adminTlsPaths(config);
  const tls = paths === undefined ? undefined : readTls(paths);
  const options: AdminServerOptions = { ...adminListen, token: adminToken, tls };
  const { AdminServer } = await import("../admin/server.ts");
  const server = new AdminServer(state, options);
  let address: Address;
  try {
    address = await server.start();
  } catch (cause) {
    await server.dispose();
    const where = formatAddress(adminListen);
    const message = `ADMIN_LISTEN: cannot listen on ${where} (${describe(cause)}); give a free address`;
    throw new IngestError(Code.FAILED_PRECONDITION, message, { cause });
  }
  const watch =
    paths === undefined || tls === undefined
      ? undefined
      : new TlsWatch({ log, clock }, paths, tls, (material) => server.setTls(material));
  return {
    address,
    close: async () => {
      watch?.stop();
      await server.dispose();
    },
  };
}
