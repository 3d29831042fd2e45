// A certificate for this machine alone, made for one test: Node can check X.509 certificates, but not make them.
//
//   Certificate := SEQUENCE { tbs, algorithm, BIT STRING signature }            (RFC 5280, in DER)
//   tbs := SEQUENCE { [0] version, serial, algorithm, issuer, validity, subject, public key, [3] extensions }

import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

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
const name = (text: string): Buffer => sequence(der(0x31, sequence(oid("550403"), der(0x0c, Buffer.from(text)))));

/** Self-signed, for localhost and 127.0.0.1, valid for a day before and after now. Both are PEM. */
export function certificate(): { readonly key: string; readonly cert: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ecdsaWithSha256 = sequence(oid("2a8648ce3d040302"));
  const authority = sequence(oid("551d13"), der(0x04, sequence(der(0x01, Buffer.from([0xff])))));
  const names = [der(0x82, Buffer.from("localhost")), der(0x87, Buffer.from([127, 0, 0, 1]))];
  const alternativeNames = sequence(oid("551d11"), der(0x04, sequence(...names)));
  const tbs = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    name("test"),
    sequence(time(Date.now() - DAY_MS), time(Date.now() + DAY_MS)),
    name("test"),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(authority, alternativeNames)),
  );
  const signature = sign("sha256", tbs, privateKey);
  const whole = sequence(tbs, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature));
  const lines = whole.toString("base64").replaceAll(/.{64}/g, "$&\n");
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  };
}
