// Headless Chromium, for the tests of pages: Debian's package, or any Chromium or Chrome of the machine. Nothing is downloaded.

import { version } from "./program.ts";

const COMMANDS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The command that runs Chromium; undefined: there is none. */
export async function chromium(): Promise<string | undefined> {
  for (const command of COMMANDS) if ((await version(command, ["--version"])) !== undefined) return command;
  return undefined;
}

/** One line that says what to install, or undefined. */
export async function missingForBrowser(): Promise<string | undefined> {
  if ((await chromium()) !== undefined) return undefined;
  return "Chromium is not installed (Debian: apt-get install chromium)";
}
