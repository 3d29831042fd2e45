// Certificates made for one test: Node can check X.509 certificates, but not make them.
//
//   Certificate := SEQUENCE { tbs, algorithm, BIT STRING signature }            (RFC 5280, in DER)
//   tbs := SEQUENCE { [0] version, serial, algorithm, issuer, validity, subject, public key, [3] extensions }

import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { isIPv4 } from "node:net";

const DAY_MS = 86_400_000;

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...contents: readonly Buffer[]): Buffer => der(0x30, ...contents);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, "hex"));
const integer = (bytes: Buffer): Buffer => der(0x02, bytes);
const time = (ms: number): Buffer =>
  der(0x17, Buffer.from(`${new Date(ms).toISOString().slice(2, 19).replaceAll(/[-:T]/g, "")}Z`));
/** A common name alone; the empty text is a subject without one. */
const name = (text: string): Buffer =>
  text === "" ? sequence() : sequence(der(0x31, sequence(oid("550403"), der(0x0c, Buffer.from(text)))));
/** DNS names, IPv4 addresses and URIs. */
const generalName = (text: string): Buffer => {
  if (isIPv4(text)) return der(0x87, Buffer.from(text.split(".").map(Number)));
  return der(text.includes("://") ? 0x86 : 0x82, Buffer.from(text));
};

export interface Certificate {
  /** PEM. */
  readonly key: string;
  /** PEM. */
  readonly cert: string;
  readonly commonName: string;
}

export interface CertificateOptions {
  readonly commonName?: string;
  /** DNS names, IPv4 addresses and URIs that it is for. */
  readonly names?: readonly string[];
  /** Undefined: it signs itself. */
  readonly issuer?: Certificate;
  /** Milliseconds since the epoch. */
  readonly validFromMs?: number;
  readonly validToMs?: number;
}

/** For localhost and 127.0.0.1, self-signed, and valid for a day before and after now, unless it is told otherwise. */
export function certificate(options: CertificateOptions = {}): Certificate {
  const { commonName = "test", names = ["localhost", "127.0.0.1"], issuer } = options;
  const { validFromMs = Date.now() - DAY_MS, validToMs = Date.now() + DAY_MS } = options;
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ecdsaWithSha256 = sequence(oid("2a8648ce3d040302"));
  const signs = issuer === undefined ? [der(0x01, Buffer.from([0xff]))] : [];
  const constraints = sequence(oid("551d13"), der(0x04, sequence(...signs)));
  const alternativeNames = sequence(oid("551d11"), der(0x04, sequence(...names.map(generalName))));
  const tbs = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    name(issuer?.commonName ?? commonName),
    sequence(time(validFromMs), time(validToMs)),
    name(commonName),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(constraints, ...(names.length === 0 ? [] : [alternativeNames]))),
  );
  const signature = sign("sha256", tbs, issuer?.key ?? privateKey);
  const whole = sequence(tbs, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature));
  // Without an empty line at the end, which Node.js takes for the end of the certificate.
  const lines = whole
    .toString("base64")
    .match(/.{1,64}/g)!
    .join("\n");
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    commonName,
  };
}
