import assert from "node:assert/strict";
import test from "node:test";
import { CALLERS_TOLD_MAX, callersOf } from "../../../src/grpc/native/callers.ts";

const connection = (peer: string, streamCount: number, identity?: string) => ({
  peer,
  peerIdentity: identity,
  streamCount,
  unsentBytes: 10,
  ageMs: streamCount * 1000,
});

test("connections are summed up by address and certificate, without ports", () => {
  const { callers, callersLeftOut } = callersOf([
    connection("10.0.0.1:1", 2),
    connection("10.0.0.1:2", 5),
    connection("10.0.0.1:3", 1, "billing"),
    connection("[::1]:4", 0),
  ]);
  assert.equal(callersLeftOut, 0);
  assert.deepEqual(
    callers.map(({ address, identity, connections, streams, streamsMax }) => [
      address,
      identity,
      connections,
      streams,
      streamsMax,
    ]),
    [
      ["10.0.0.1", undefined, 2, 7, 5],
      ["10.0.0.1", "billing", 1, 1, 1],
      ["[::1]", undefined, 1, 0, 0],
    ],
  );
  assert.equal(callers[0]!.unsentBytes, 20);
  assert.equal(callers[0]!.oldestSeconds, 5);
});

test("of very many callers the largest are told, and how many are not", () => {
  const many = Array.from({ length: CALLERS_TOLD_MAX + 7 }, (_, i) => connection(`10.0.0.${i}:1`, i));
  const { callers, callersLeftOut } = callersOf(many);
  assert.equal(callers.length, CALLERS_TOLD_MAX);
  assert.equal(callersLeftOut, 7);
  assert.equal(callers[0]!.streams, CALLERS_TOLD_MAX + 6);
});
