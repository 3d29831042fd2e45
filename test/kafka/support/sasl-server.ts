// A broker as far as the door: ApiVersions, SASL PLAIN and SCRAM, and Metadata for those who come in.

import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { once } from "node:events";

import { type ByteReader, FrameReader, ProtocolError } from "../../support/fake-broker/reader.ts";
import { ByteWriter } from "../../support/fake-broker/writer.ts";

const API = { metadata: 3, saslHandshake: 17, apiVersions: 18, saslAuthenticate: 36 } as const;
const OFFERED = [
  [0, 0, 11],
  [API.metadata, 0, 12],
  [API.saslHandshake, 0, 1],
  [API.saslAuthenticate, 0, 2],
  [API.apiVersions, 0, 4],
  [22, 0, 5],
  [32, 1, 4],
] as const;
/** SaslHandshake has no flexible versions. */
const FLEXIBLE_SINCE = new Map<number, number>([
  [API.metadata, 9],
  [API.apiVersions, 3],
  [API.saslAuthenticate, 2],
]);
const SASL_AUTHENTICATION_FAILED = 58;
const UNSUPPORTED_SASL_MECHANISM = 33;
const ITERATIONS = 4096;

export interface SaslServerOptions {
  readonly mechanisms: readonly string[];
  readonly username: string;
  readonly password: string;
  /** What the server says to the first message of SCRAM instead of what it should. */
  readonly garble?: string;
  /** PEM; without, it is plain TCP. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

export interface SaslServer extends AsyncDisposable {
  readonly bootstrap: string;
  /** Connections that asked for Metadata, which only those who are authenticated may. */
  readonly admitted: number;
}

export async function saslServer(options: SaslServerOptions): Promise<SaslServer> {
  let admitted = 0;
  const sockets = new Set<Socket>();
  const server = createListener(options, (socket) => {
    sockets.add(socket.on("error", () => {}));
    const frames = new FrameReader();
    const authentication = new Authentication(options);
    let isAuthenticated = false;
    /** Returns false for what a broker ends the connection for. */
    const answer = (request: ByteReader): boolean => {
      const apiKey = request.int16();
      const version = request.int16();
      const correlationId = request.int32();
      request.nullableString();
      request.flexible = version >= (FLEXIBLE_SINCE.get(apiKey) ?? Number.POSITIVE_INFINITY);
      request.tags();
      const headerTags = request.flexible && apiKey !== API.apiVersions;
      const writer = ByteWriter.response(correlationId, request.flexible, headerTags);
      if (apiKey === API.apiVersions) writeApiVersions(writer);
      else if (apiKey === API.saslHandshake && version === 1) handshake(authentication, options, request, writer);
      else if (apiKey === API.saslAuthenticate && version >= 1) {
        isAuthenticated = authentication.authenticate(bytes(request), writer);
      } else if (apiKey === API.metadata && isAuthenticated) {
        admitted++;
        writeMetadata(writer, (server.address() as AddressInfo).port);
      } else return false;
      socket.write(writer.frame());
      return true;
    };
    socket.on("data", (chunk: Buffer) => {
      try {
        frames.push(chunk);
        for (let request = frames.next(); request !== undefined; request = frames.next()) {
          if (!answer(request)) throw new ProtocolError("not at the door");
        }
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        socket.destroy();
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    bootstrap: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get admitted() {
      return admitted;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function createListener({ tls }: SaslServerOptions, listener: (socket: Socket) => void): Server {
  return tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
}

function bytes(request: ByteReader): Buffer {
  return Buffer.from(request.take(request.length()));
}

function writeApiVersions(writer: ByteWriter): void {
  writer.int16(0).array(OFFERED, ([key, min, max]) => writer.int16(key).int16(min).int16(max).tags());
  writer.int32(0).tags();
}

function writeMetadata(writer: ByteWriter, port: number): void {
  writer.int32(0).array([port], (each) => writer.int32(1).string("127.0.0.1").int32(each).string(null).tags());
  writer
    .string("sasl")
    .int32(1)
    .array([], () => {})
    .tags();
}

function handshake(
  authentication: Authentication,
  { mechanisms }: SaslServerOptions,
  request: ByteReader,
  writer: ByteWriter,
): void {
  const mechanism = request.string();
  authentication.mechanism = mechanism;
  writer.int16(mechanisms.includes(mechanism) ? 0 : UNSUPPORTED_SASL_MECHANISM);
  writer.array(mechanisms, (each) => writer.string(each));
}

/** One connection's exchange. */
class Authentication {
  mechanism = "";
  readonly #options: SaslServerOptions;
  readonly #salt = randomBytes(16);
  #clientFirst = "";
  #serverFirst = "";

  constructor(options: SaslServerOptions) {
    this.#options = options;
  }

  /** Answers one message. Returns whether the client is in. */
  authenticate(message: Buffer, writer: ByteWriter): boolean {
    if (this.mechanism === "PLAIN") {
      const { username, password } = this.#options;
      const isRight = message.toString() === `\0${username}\0${password}`;
      return isRight ? accept(writer, "") : refuse(writer, "Authentication failed: Invalid username or password");
    }
    return this.#serverFirst === "" ? this.#first(message.toString(), writer) : this.#final(message.toString(), writer);
  }

  #first(message: string, writer: ByteWriter): boolean {
    this.#clientFirst = message.slice("n,,".length);
    const nonce = /r=([^,]*)/.exec(message)![1]!;
    this.#serverFirst = `r=${nonce}${randomBytes(8).toString("hex")},s=${this.#salt.toString("base64")},i=${ITERATIONS}`;
    accept(writer, this.#options.garble ?? this.#serverFirst);
    return false;
  }

  #final(message: string, writer: ByteWriter): boolean {
    const [hash, length] = this.mechanism === "SCRAM-SHA-256" ? (["sha256", 32] as const) : (["sha512", 64] as const);
    const hmac = (key: Buffer, data: string) => createHmac(hash, key).update(data).digest();
    const [withoutProof, proof] = message.split(",p=") as [string, string];
    const { username, password } = this.#options;
    const salted = pbkdf2Sync(password, this.#salt, ITERATIONS, length, hash);
    const clientKey = hmac(salted, "Client Key");
    const storedKey = createHash(hash).update(clientKey).digest();
    const authMessage = `${this.#clientFirst},${this.#serverFirst},${withoutProof}`;
    const signature = hmac(storedKey, authMessage);
    const expected = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!)).toString("base64");
    if (proof !== expected || !this.#clientFirst.startsWith(`n=${username},`)) {
      return refuse(writer, "Authentication failed during authentication due to invalid credentials");
    }
    return accept(writer, `v=${hmac(hmac(salted, "Server Key"), authMessage).toString("base64")}`);
  }
}

function accept(writer: ByteWriter, message: string): boolean {
  writer.int16(0).string(null).string(message).int64(0n).tags();
  return true;
}

function refuse(writer: ByteWriter, reason: string): boolean {
  writer.int16(SASL_AUTHENTICATION_FAILED).string(reason).string("").int64(0n).tags();
  return false;
}
