// How a client speaks TLS: what callers say, as what Node.js and grpc-js want.
//
// Rejected: grpc-js' `credentials.createSsl`. It cannot trust a certificate by itself, and for an address that is a number it
// sends that as the server's name, which RFC 6066 forbids and Node.js warns about.

import { type ChannelCredentials, type ChannelOptions, credentials } from "@grpc/grpc-js";
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { checkServerIdentity, type ConnectionOptions, createSecureContext, type PeerCertificate } from "node:tls";

/** Texts are PEM, not names of files. */
export interface TlsOptions {
  /** The authorities that may sign the service's certificate. Default: those that Node.js trusts. */
  readonly ca?: string | Uint8Array;
  /** The client's certificate, with its chain, where the service asks for one (mTLS). */
  readonly cert?: string | Uint8Array;
  /** Its key. */
  readonly key?: string | Uint8Array;
  /** The name that the service's certificate has to be for. Default: the host of the address. */
  readonly serverName?: string;
  /** The one certificate that the service has to show. Who signed it and whose name it has does not matter then. */
  readonly pin?: string | Uint8Array;
}

/** A host and its port, for example `127.0.0.1:50051` or `[::1]:50051`. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Undefined: gRPC resolves it in another way. */
export function hostPortOf(address: string): HostPort | undefined {
  const match = /^(?:dns:(?:\/\/\/)?)?(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9._-]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  return host === undefined ? undefined : { host, port: Number(match![3]) };
}

/** TLS for one address. */
export class ClientTls {
  /** For `tls.connect`. */
  readonly connection: ConnectionOptions;
  readonly credentials: ChannelCredentials;
  readonly channelOptions: ChannelOptions;
  /** A certificate is shown if the service asks for one. */
  readonly hasCertificate: boolean;

  /** @throws TypeError for texts that are no PEM, and for a certificate without its key. */
  constructor(address: string, options: TlsOptions) {
    const { cert, key, serverName, pin } = options;
    if ((cert === undefined) !== (key === undefined))
      throw new TypeError("tls: cert and key belong together; give both, or none");
    const secureContext = secureContextOf(options);
    const host = serverName ?? hostPortOf(address)?.host;
    const check = pin === undefined ? nameCheck(host) : pinCheck(pin);
    const sent = host === undefined ? undefined : sentName(host);
    this.hasCertificate = cert !== undefined;
    this.connection = {
      secureContext,
      checkServerIdentity: check,
      ALPNProtocols: ["h2"],
      ...(sent === undefined ? {} : { servername: sent }),
    };
    this.credentials = credentials.createFromSecureContext(secureContext, { checkServerIdentity: check });
    this.channelOptions = sent === undefined ? {} : { "grpc.ssl_target_name_override": sent };
  }
}

function secureContextOf({ ca, cert, key, pin }: TlsOptions) {
  const trusted = pin ?? ca;
  try {
    return createSecureContext({
      ...(trusted === undefined ? {} : { ca: Buffer.from(trusted) }),
      ...(cert === undefined ? {} : { cert: Buffer.from(cert) }),
      ...(key === undefined ? {} : { key: Buffer.from(key) }),
      // The certificate itself, and not only who signed it.
      allowPartialTrustChain: pin !== undefined,
      minVersion: "TLSv1.2",
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TypeError(`tls: the certificates or the key cannot be used: ${why}`, { cause });
  }
}

type Check = (host: string, certificate: PeerCertificate) => Error | undefined;

/** Whatever name is sent, this is the one that counts. */
function nameCheck(name: string | undefined): Check {
  return (host, certificate) => checkServerIdentity(name ?? host, certificate);
}

function pinCheck(pin: string | Uint8Array): Check {
  const expected = new X509Certificate(Buffer.from(pin)).raw;
  return (_host, { raw }) =>
    raw.equals(expected)
      ? undefined
      : Object.assign(new Error("the service shows another certificate"), { code: "CERT_REJECTED" });
}

/** A server's name is never a number; this machine has one that can be sent instead. */
function sentName(host: string): string | undefined {
  if (isIP(host) === 0) return host;
  return host.startsWith("127.") || host === "::1" ? "localhost" : undefined;
}
