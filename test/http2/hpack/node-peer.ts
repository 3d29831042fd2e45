// A node:http2 client, which has nghttp2's HPACK, and the least of a server for it: header blocks as bytes, both ways.

import http2 from "node:http2";
import net, { type AddressInfo, type Socket } from "node:net";

const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;
const HEADERS = 1;
const SETTINGS = 4;
const CONTINUATION = 9;
const ACK = 0x1;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const PADDED = 0x8;
const PRIORITY = 0x20;
const SETTINGS_HEADER_TABLE_SIZE = 1;
const SETTINGS_MAX_CONCURRENT_STREAMS = 3;

export interface NodePeer extends AsyncDisposable {
  /** Sends a request. Resolves to its header block, and to what the client made of the answer's. */
  request(headers: http2.OutgoingHttpHeaders, answer: Uint8Array): Promise<{ block: Buffer; rawHeaders: string[] }>;
  /** Limits the dynamic table of the client's encoder. Resolves once the client has agreed. */
  setTableBytes(bytes: number): Promise<void>;
}

export async function startNodePeer(): Promise<NodePeer> {
  const acks: (() => void)[] = [];
  const blocks: ((block: Buffer) => void)[] = [];
  const answers: Uint8Array[] = [];
  let socket: Socket | undefined;

  const server = net.createServer((accepted) => {
    socket = accepted;
    let received = Buffer.alloc(0);
    let skipped = false;
    let block = Buffer.alloc(0);
    accepted.write(frame(SETTINGS, 0, 0, settings(SETTINGS_MAX_CONCURRENT_STREAMS, 1000)));
    acks.push(() => {});
    accepted.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (!skipped && received.length < PREFACE_BYTES) return;
      if (!skipped) received = received.subarray(PREFACE_BYTES);
      skipped = true;
      while (received.length >= FRAME_HEADER_BYTES) {
        const length = received.readUIntBE(0, 3);
        if (received.length < FRAME_HEADER_BYTES + length) return;
        const type = received[3]!;
        const flags = received[4]!;
        const streamId = received.readUInt32BE(5);
        let payload = received.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length);
        received = received.subarray(FRAME_HEADER_BYTES + length);
        if (type === SETTINGS) {
          if ((flags & ACK) === 0) accepted.write(frame(SETTINGS, ACK, 0, new Uint8Array(0)));
          else acks.shift()!();
        }
        if (type !== HEADERS && type !== CONTINUATION) continue;
        if (type === HEADERS) {
          const padding = (flags & PADDED) === 0 ? 0 : payload[0]!;
          const before = ((flags & PADDED) === 0 ? 0 : 1) + ((flags & PRIORITY) === 0 ? 0 : 5);
          payload = payload.subarray(before, payload.length - padding);
          block = Buffer.alloc(0);
        }
        block = Buffer.concat([block, payload]);
        if ((flags & END_HEADERS) === 0) continue;
        blocks.shift()!(block);
        accepted.write(frame(HEADERS, END_HEADERS | END_STREAM, streamId, answers.shift()!));
      }
    });
    accepted.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await new Promise((resolve, reject) => client.once("remoteSettings", resolve).once("error", reject));

  return {
    async request(headers, answer) {
      const arrived = new Promise<Buffer>((resolve) => blocks.push(resolve));
      answers.push(answer);
      const stream = client.request(headers, { endStream: true });
      const rawHeaders = new Promise<string[]>((resolve, reject) => {
        stream.on("response", (...args: unknown[]) => resolve(args[2] as string[]));
        stream.on("error", reject);
      });
      const ended = new Promise((resolve) => stream.resume().once("close", resolve));
      const result = {
        block: await Promise.race([arrived, rawHeaders.then(() => arrived)]),
        rawHeaders: await rawHeaders,
      };
      await ended;
      return result;
    },
    async setTableBytes(bytes) {
      const agreed = new Promise<void>((resolve) => acks.push(resolve));
      socket!.write(frame(SETTINGS, 0, 0, settings(SETTINGS_HEADER_TABLE_SIZE, bytes)));
      await agreed;
    },
    async [Symbol.asyncDispose]() {
      client.destroy();
      socket?.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function settings(id: number, value: number): Uint8Array {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(id, 0);
  payload.writeUInt32BE(value, 2);
  return payload;
}

function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(FRAME_HEADER_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}
