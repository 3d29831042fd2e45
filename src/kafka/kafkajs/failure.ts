// What kafkajs' errors say: the broker's error code, if there is one, whatever it was wrapped in on its way.

import { type Action, actionFor } from "../errors.ts";

export interface Failure {
  readonly action: Action | "bug";
  /** Kafka's error code; undefined if no broker answered. */
  readonly errorCode: number | undefined;
  readonly message: string;
  /** May what was sent be stored all the same? */
  readonly maybeStored: boolean;
}

export function failureOf(thrown: unknown): Failure {
  const chain = causes(thrown);
  const message = chain[0]?.message ?? String(thrown);
  for (const error of chain) {
    if (error.name !== "KafkaJSProtocolError") continue;
    const errorCode = (error as Error & { readonly code: number }).code;
    const action = actionFor(errorCode);
    return { action, errorCode, message, maybeStored: action === "resend" };
  }
  // Connections, time-outs, metadata that is not there yet: all of them are worth another try.
  const isKafkajs = (error: Error): boolean => error.name.startsWith("KafkaJS");
  const root = chain.at(-1);
  if (root === undefined || !chain.some(isKafkajs) || ["TypeError", "RangeError"].includes(root.name)) {
    return { action: "bug", errorCode: undefined, message, maybeStored: true };
  }
  const { code } = root as Error & { readonly code?: unknown };
  return { action: "resend", errorCode: undefined, message, maybeStored: code !== "ECONNREFUSED" };
}

function causes(thrown: unknown): Error[] {
  const chain: Error[] = [];
  for (let error = thrown; error instanceof Error && !chain.includes(error); error = error.cause) chain.push(error);
  return chain;
}
