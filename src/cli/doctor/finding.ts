// What the doctor found: how bad it is, about what, and what to do.

export type Level = "ok" | "warning" | "error";

export interface Finding {
  readonly level: Level;
  /** What was looked at, for example `topic clicks`. */
  readonly subject: string;
  /** What is so. */
  readonly message: string;
  /** What to do; absent if nothing is wrong. */
  readonly remedy?: string;
}

export const ok = (subject: string, message: string): Finding => ({ level: "ok", subject, message });

export const warning = (subject: string, message: string, remedy: string): Finding => ({
  level: "warning",
  subject,
  message,
  remedy,
});

export const error = (subject: string, message: string, remedy: string): Finding => ({
  level: "error",
  subject,
  message,
  remedy,
});

/** Of a mistake as commands print it, which says after its last semicolon what to do. */
export function mistakeFinding(subject: string, mistake: string): Finding {
  const at = mistake.lastIndexOf("; ");
  return error(subject, mistake.slice(0, at), mistake.slice(at + 2));
}
