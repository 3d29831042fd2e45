// How a command reaches the service over gRPC: the flags that say where it is and how it is secured, and what to do when it
// cannot be reached.
//
// Without --address the service is the one of this environment, and so is its certificate: GRPC_TLS_CERT_FILE is the very file
// that it shows. It is trusted by itself then, whoever signed it, because it is for the names that others call the service by,
// and not for the 127.0.0.1 that we come by.

import { readFileSync } from "node:fs";
import { connect, type SluiceClient, SluiceError, type TlsOptions } from "../client/index.ts";
import { Obstacle, type ObstacleKind } from "../client/obstacle.ts";
import { type Address, path, remoteAddress, text } from "../config/kinds.ts";
import { type Config, formatAddress } from "../config.ts";
import { reachable } from "./address.ts";
import { maybe, toggle, type Values } from "./flag.ts";
import { CliError, messageOf } from "./io.ts";

export const serviceFlags = {
  address: maybe(remoteAddress, "The service; without it, GRPC_LISTEN."),
  tls: toggle("Speak TLS; implied by the other --tls flags, and by GRPC_TLS_CERT_FILE where there is no --address."),
  tlsCa: maybe(
    path,
    "The PEM file of the authorities that may sign the service's certificate, instead of those that Node.js trusts.",
  ),
  tlsCert: maybe(path, "The PEM file of the certificate to show, where the service asks for one (mTLS)."),
  tlsKey: maybe(path, "The PEM file of its key."),
  tlsServerName: maybe(
    text("NAME", "the name that the service's certificate is for"),
    "The name that the service's certificate has to be for, if it is not the host of the address.",
  ),
} as const;

type ServiceValues = Values<typeof serviceFlags>;

const CONNECT_TIMEOUT_MS = 5_000;

const REMEDIES: Readonly<Record<ObstacleKind, string>> = {
  tls_needed: "give --tls, and --tls-ca if its certificate is signed by an authority of your own",
  plaintext_needed: "leave the --tls flags out, or set GRPC_TLS_CERT_FILE and GRPC_TLS_KEY_FILE of the service",
  untrusted: "give the authority that signed it with --tls-ca",
  expired: "renew it: GRPC_TLS_CERT_FILE of the service; `sluice doctor` there says when it ends",
  other_name: "give a name that it is for with --tls-server-name, or address the service by one",
  certificate_needed: "give --tls-cert and --tls-key",
  certificate_refused: "give one that GRPC_TLS_CLIENT_CA_FILE of the service has signed, and that is valid now",
};

/** Mistakes in the flags, one line each. */
export function serviceMistakes({ tlsCert, tlsKey }: ServiceValues): string[] {
  if ((tlsCert === undefined) === (tlsKey === undefined)) return [];
  return tlsKey === undefined
    ? ["--tls-key: missing, but --tls-cert is given; give the certificate's key, too"]
    : ["--tls-cert: missing, but --tls-key is given; give its certificate, too"];
}

/** A client whose connection stands. @throws CliError that says what to do. */
export async function connectService(values: ServiceValues, config: Config): Promise<SluiceClient> {
  const address = values.address === undefined ? grpcAddress(config.grpcListen) : formatAddress(values.address);
  const client = clientOf(address, tlsOf(values, config));
  try {
    await client.ready({ timeoutMs: CONNECT_TIMEOUT_MS, failFast: true });
    return client;
  } catch (thrown) {
    await client.close();
    const cause = thrown instanceof SluiceError ? thrown.cause : undefined;
    const remedy =
      cause instanceof Obstacle
        ? REMEDIES[cause.kind]
        : "start a service with `sluice serve`, or name one with --address";
    throw new CliError(`${messageOf(thrown)}; ${remedy}`, { cause: thrown });
  }
}

function clientOf(address: string, tls: TlsOptions | undefined): SluiceClient {
  try {
    return connect(address, tls === undefined ? {} : { tls });
  } catch (cause) {
    throw new CliError(`${messageOf(cause)}; give PEM files with --tls-ca, --tls-cert and --tls-key`, { cause });
  }
}

function grpcAddress(grpcListen: Address): string {
  if (grpcListen.port !== 0) return reachable(grpcListen);
  throw new CliError("GRPC_LISTEN says port 0, which is any; name the service with --address");
}

/** Undefined: plaintext. */
function tlsOf(values: ServiceValues, { grpcTlsCertFile }: Config): TlsOptions | undefined {
  const { address, tls, tlsCa, tlsCert, tlsKey, tlsServerName } = values;
  const given = [tlsCa, tlsCert, tlsKey, tlsServerName].some((value) => value !== undefined);
  const local = address === undefined ? grpcTlsCertFile : undefined;
  if (!tls && !given && local === undefined) return undefined;
  const pinned = tlsCa === undefined && tlsServerName === undefined ? local : undefined;
  return {
    ...(pinned === undefined ? {} : { pin: read("GRPC_TLS_CERT_FILE", pinned) }),
    ...(tlsCa === undefined ? {} : { ca: read("--tls-ca", tlsCa) }),
    ...(tlsCert === undefined ? {} : { cert: read("--tls-cert", tlsCert) }),
    ...(tlsKey === undefined ? {} : { key: read("--tls-key", tlsKey) }),
    ...(tlsServerName === undefined ? {} : { serverName: tlsServerName }),
  };
}

function read(as: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CliError(`${as}: cannot read ${file}: ${messageOf(cause)}; give a PEM file`, { cause });
  }
}
